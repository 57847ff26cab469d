"""`python -m jobs_worker`."""

from jobs_worker.main import main

main()
