"""Write rows as CSV."""

import csv
from io import TextIOWrapper
from typing import BinaryIO

from jobs_worker.queues.reports.cells import as_csv
from jobs_worker.queues.reports.sources import Rows


def write_csv(file: BinaryIO, rows: Rows, title: str) -> None:  # noqa: ARG001 - CSV has no place for it
    """Write RFC 4180: commas, CRLF, UTF-8 with the byte order mark without which Excel misreads it."""
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        writer = csv.writer(text)
        writer.writerow([as_csv(name) for name in rows.columns])
        writer.writerows([as_csv(value) for value in row] for row in rows.rows)
    finally:
        # Flushes, and leaves the file open: it is not in place yet.
        text.detach()
