"""Process pictures."""
