"""Export reports."""
