"""The names that users give: queues, jobs, own job ids, prefixes.

Names end up between the braces of a hash tag and in log lines, so what is not allowed is refused at the door.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from jobs_core.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_job_id", "check_job_name", "check_prefix", "check_queue_name", "check_tag", "nearest"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_NAME_RULE = "a name is 1 to 64 of the characters A-Z a-z 0-9 . _ -"
_JOB_ID_LENGTH = 128
_TAG_LENGTH = 64
_PREFIX_LENGTH = 64


def check_queue_name(name: str) -> str:
    """Return the name, or raise `OptionError`."""
    return _checked("queue", name)


def check_job_name(name: str) -> str:
    """Return the name, or raise `OptionError`."""
    return _checked("job", name)


def check_job_id(job_id: str) -> str:
    """Return the caller's own job id (1 to 128 printable characters), or raise `OptionError`."""
    return _printable("job_id", job_id, _JOB_ID_LENGTH)


def check_tag(tag: str) -> str:
    """Return the tag (1 to 64 printable characters), or raise `OptionError`."""
    return _printable("tags", tag, _TAG_LENGTH)


def check_prefix(prefix: str) -> str:
    """Return the key prefix, segments joined by colons, 1 to 64 characters in all, or raise `OptionError`."""
    _printable("prefix", prefix, _PREFIX_LENGTH)
    # A brace would move the hash tag, which is ours: then the keys of one queue fall on several slots.
    if "{" in prefix or "}" in prefix or " " in prefix:
        raise OptionError("prefix", prefix, "it may not hold braces or spaces")
    if not all(prefix.split(":")):
        raise OptionError("prefix", prefix, "it may not have an empty segment between colons")
    return prefix


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that look like `name`, the best first."""
    folded = {one.lower().replace("_", "-"): one for one in sorted(known, reverse=True)}
    return [folded[match] for match in get_close_matches(name.lower().replace("_", "-"), folded)]


def _checked(option: str, name: str) -> str:
    # Callers without a type checker pass anything, so the type is checked at run time too.
    if not isinstance(name, str) or _NAME(name) is None:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, name, _NAME_RULE)
    return name


def _printable(option: str, text: str, limit: int) -> str:
    if (
        not isinstance(text, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        or not 0 < len(text) <= limit
        or not text.isprintable()
    ):
        raise OptionError(option, text, f"it must be 1 to {limit} printable characters")
    return text
