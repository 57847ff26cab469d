"""How each format is written."""

from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

from jobs_core.queues.reports.queue import Format
from jobs_worker.queues.reports.csv_file import write_csv
from jobs_worker.queues.reports.pdf_file import write_pdf
from jobs_worker.queues.reports.sources import Rows
from jobs_worker.queues.reports.xlsx_file import write_xlsx

WRITERS: Final[Mapping[Format, Callable[[BinaryIO, Rows, str], None]]] = {
    "csv": write_csv,
    "xlsx": write_xlsx,
    "pdf": write_pdf,
}
