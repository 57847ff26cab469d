"""Tell of what failed for good."""
