"""The `jobs` command."""
