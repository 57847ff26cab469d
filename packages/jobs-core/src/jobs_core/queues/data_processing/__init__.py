"""Map and reduce large files: what the jobs of this queue carry and answer."""

from jobs_core.queues.data_processing.queue import (
    DATA_PROCESSING,
    MAP_FILE,
    PROCESS_PART,
    REDUCE_FILE,
    TIDY_PARTS,
    Condition,
    FilePart,
    MapFile,
    MappedFile,
    Measure,
    ProcessedPart,
    ReducedFile,
    ReduceFile,
    TidyParts,
)

__all__ = [
    "DATA_PROCESSING",
    "MAP_FILE",
    "PROCESS_PART",
    "REDUCE_FILE",
    "TIDY_PARTS",
    "Condition",
    "FilePart",
    "MapFile",
    "MappedFile",
    "Measure",
    "ProcessedPart",
    "ReduceFile",
    "ReducedFile",
    "TidyParts",
]
