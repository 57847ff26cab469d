"""Flows: jobs that wait for others, and what is told to them of these."""
