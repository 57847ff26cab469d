"""`jobs doctor`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json
from jobs_cli.failures import DONE, FAILED
from jobs_cli.output import cell, print_json
from jobs_cli.session import with_admin


def doctor(
    queue: Annotated[str | None, Parameter(show_default=False, help="Why its jobs do not run.")] = None,
    job_id: Annotated[str | None, Parameter(show_default=False, help="Why this job does not run.")] = None,
    /,
    *,
    json: Json = False,
) -> int:
    """Examine the server, or say why jobs of a queue, or one job, do not run, each finding with its mend.

    Exits with 1 only for what makes a worker refuse to start.
    """
    findings = with_admin(lambda admin: admin.doctor(queue, job_id))
    if json:
        print_json(findings)
    else:
        for finding in findings:
            print(f"{finding.severity:8} {finding.code}: {cell(finding.text)}")
            if finding.mend:
                print(f"{'':8} -> {cell(finding.mend)}")
    return FAILED if any(finding.severity == "error" for finding in findings) else DONE
