"""Process pictures: what the jobs of this queue carry and answer."""

from jobs_core.queues.images.queue import (
    IMAGES,
    PROCESS_IMAGE,
    Compress,
    Convert,
    Crop,
    Format,
    ImageResult,
    Operation,
    ProcessImage,
    Resize,
    StripMetadata,
    Thumbnail,
)

__all__ = [
    "IMAGES",
    "PROCESS_IMAGE",
    "Compress",
    "Convert",
    "Crop",
    "Format",
    "ImageResult",
    "Operation",
    "ProcessImage",
    "Resize",
    "StripMetadata",
    "Thumbnail",
]
