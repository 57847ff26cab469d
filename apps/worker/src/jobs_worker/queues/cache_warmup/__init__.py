"""Keep a cache of pages warm."""
