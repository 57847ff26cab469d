"""`python -m jobs_cli` is the `jobs` command."""

import sys

from jobs_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
