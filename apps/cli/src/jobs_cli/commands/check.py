"""`jobs check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json, flag
from jobs_cli.failures import DONE, FAILED
from jobs_cli.output import cell, print_json
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Breach


def check(
    queue: Annotated[str | None, Parameter(show_default=False, help="Only this queue.")] = None,
    /,
    *,
    repair: Annotated[bool, flag("Mend what can be mended.")] = False,
    json: Json = False,
) -> int:
    """Look whether every invariant of a queue holds, or of all. May run while jobs flow.

    It changes nothing without --repair. Exits with 1 when an invariant is broken and was not mended.
    """
    report = with_admin(lambda admin: admin.check(queue, repair=repair))
    if json:
        print_json(report)
        return DONE if report.ok else FAILED
    for breach in report.breaches:
        print(f"{breach.queue or '-'}  {breach.code}: {breach.text} ({breach.count}): {_about(breach)}")
        if breach.repaired:
            print(f"{'':{len(breach.queue)}}  -> {breach.repaired} mended")
    for what in report.unjudged:
        print(f"not judged, too large for one look: {what}")
    queues = f"{len(report.queues)} queue{'' if len(report.queues) == 1 else 's'}"
    wrong = sum(breach.count for breach in report.breaches)
    print(f"{queues}, {report.jobs} jobs: {f'{wrong} breaches' if wrong else 'all invariants hold'}")
    return DONE if report.ok else FAILED


def _about(breach: Breach) -> str:
    more = ", …" if breach.count > len(breach.about) else ""
    detail = f" ({cell(breach.detail)})" if breach.detail else ""
    return ", ".join(cell(each) for each in breach.about) + more + detail
