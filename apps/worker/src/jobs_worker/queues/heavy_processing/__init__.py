"""The complete example of a heavy queue."""
