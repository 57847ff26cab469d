"""Ask the program of this container whether it is alive: `healthcheck.py PORT_VARIABLE`."""

import os
import sys
import urllib.request


def main(variable: str) -> int:
    """Return 0 if /healthz answers 200 on the port that the variable holds, else 1."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{os.environ[variable]}/healthz", timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
