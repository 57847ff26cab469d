"""What one look at the outputs found."""

from collections.abc import Sequence

import msgspec

_SHOWN = 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found: `right` of `expected` outputs are as they must be.

    `missing` names those that are not there, `wrong` says what is wrong with others. `repeated` counts
    deliveries beyond the first, of which `explained` are of jobs that ran when their worker was killed.
    """

    name: str
    expected: int
    right: int
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    repeated: int = 0
    explained: int = 0

    @property
    def passed(self) -> bool:
        """Tell whether everything is there and right."""
        return self.right == self.expected and not self.missing and not self.wrong

    def complaint(self) -> str:
        """Return in a sentence or two what is missing or wrong."""
        parts = [f"{self.name}: {self.right:,} of {self.expected:,} are right."]
        if self.missing:
            parts.append(f"Missing: {listed(self.missing)}.")
        if self.wrong:
            parts.append(f"Wrong: {listed(self.wrong)}.")
        return " ".join(parts)


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
