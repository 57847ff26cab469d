"""Look at queues, jobs and workers over HTTP."""
