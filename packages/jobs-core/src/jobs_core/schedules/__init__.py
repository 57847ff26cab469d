"""Recurring jobs: when they fire, and what is kept of them on the server."""
