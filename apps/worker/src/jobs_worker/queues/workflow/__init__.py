"""Run declared workflows by name."""
