"""Drive the whole system with real work and check every output: `make demo`."""
