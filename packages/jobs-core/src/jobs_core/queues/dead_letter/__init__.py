"""What failed for good: kept with its payload and all its attempts until it is replayed."""

from jobs_core.queues.dead_letter.queue import DEAD_LETTER, DEAD_LETTERS, DeadAttempt, DeadLetter

__all__ = ["DEAD_LETTER", "DEAD_LETTERS", "DeadAttempt", "DeadLetter"]
