"""Hold everything that came out against everything that went in."""

from collections.abc import Mapping, Sequence

from demo import dataset, verification, workload
from demo.check import Check
from demo.stage import Stage
from demo.watch import Tracker
from demo.workload import Kind


def check_all(stage: Stage, mails: int, webhooks: int, tracker: Tracker) -> Sequence[Check]:
    """Open all outputs of so many mails and webhooks, and of the pictures and reports; look at each job."""
    return (
        check_jobs(tracker, mails + webhooks + len(stage.photographs) + len(dataset.QUESTIONS)),
        verification.check_mails(
            stage.mails,
            {number: workload.expected_mail(number) for number in range(1, mails + 1)},
            _interrupted(tracker, "mails"),
        ),
        verification.check_webhooks(
            stage.hooks,
            {number: workload.webhook_id(number) for number in range(1, webhooks + 1)},
            _interrupted(tracker, "webhooks"),
        ),
        verification.check_pictures(
            stage.files, {workload.output(photo): workload.output_size(photo) for photo in stage.photographs}
        ),
        verification.check_reports(
            stage.files,
            {
                workload.report_file(question): dataset.ask(stage.database, question.query)
                for question in dataset.QUESTIONS
            },
        ),
    )


def check_jobs(tracker: Tracker, expected: int) -> Check:
    """See that every job was taken and completed."""
    lost = [
        f"{sent.kind} {sent.number}" for sent in tracker.sent.values() if sent.job_id not in tracker.records
    ]
    unsent = expected - len(tracker.sent)
    completed = [record for record in tracker.records.values() if record.state == "completed"]
    wrong = [
        f"{record.queue} job {record.id} {record.state}: {record.failed_reason}"
        for record in tracker.records.values()
        if record.state != "completed"
    ]
    return Check(
        name="jobs completed",
        expected=expected,
        right=len(completed),
        missing=(*lost, *([f"{unsent} never sent"] if unsent else [])),
        wrong=tuple(wrong),
    )


def check_counts(counts: Mapping[str, int], tracker: Tracker) -> Check:
    """See that the dashboard counts in each queue what the records of its jobs say."""
    expected = {
        queue: sum(record.state == "completed" for record in records)
        for queue, records in tracker.by_queue().items()
    }
    wrong = [
        f"{queue} {counts.get(queue, 0):,}" for queue, many in expected.items() if counts.get(queue) != many
    ]
    return Check(
        name="dashboard's counts",
        expected=sum(expected.values()),
        right=sum(counts.get(queue, 0) for queue in expected),
        wrong=tuple(wrong),
    )


def _interrupted(tracker: Tracker, kind: Kind) -> set[int]:
    """Return the numbers of the jobs whose worker died under them, so that they ran again."""
    return {
        tracker.sent[job_id].number
        for job_id, record in tracker.records.items()
        if record.interrupted and tracker.sent[job_id].kind == kind
    }
