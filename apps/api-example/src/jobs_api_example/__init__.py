"""Show an API service that enqueues background jobs."""

from jobs_api_example.app import create_app

__all__ = ["create_app"]
