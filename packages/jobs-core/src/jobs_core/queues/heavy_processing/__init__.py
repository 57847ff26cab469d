"""The example of a heavy queue: what its jobs carry and answer."""

from jobs_core.queues.heavy_processing.queue import (
    COMPRESS_FILE,
    HEAVY_PROCESSING,
    CompressedFile,
    CompressFile,
)

__all__ = ["COMPRESS_FILE", "HEAVY_PROCESSING", "CompressFile", "CompressedFile"]
