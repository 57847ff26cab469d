"""The example of a workflow: what happens when a user signs up."""
