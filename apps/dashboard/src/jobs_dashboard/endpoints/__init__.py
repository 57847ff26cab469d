"""What the routes do, a module for each thing that they are about."""
