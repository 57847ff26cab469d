"""The queue that benchmarks use."""
