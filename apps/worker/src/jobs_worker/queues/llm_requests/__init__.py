"""Ask language models."""
