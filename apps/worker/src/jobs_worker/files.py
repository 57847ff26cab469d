"""Files that jobs read and write: everything under FILES_URL, and nothing outside it; see `jobs_core.files`."""

from jobs_core.files import FilePathError, FileStore, job_path, store

__all__ = ["FilePathError", "FileStore", "job_path", "store"]
