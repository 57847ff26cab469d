"""Map and reduce large files."""
