"""Map and reduce a large file: split it, wait for the parts without a slot, and put together what came of them.

What a part wrote lies under its own name, and is written whole or not at all. So a part that runs again, because its worker died,
replaces what it wrote, and nothing counts twice.
"""

from collections.abc import Iterable, Sequence
from typing import NoReturn

from jobs_core.queues.data_processing.queue import (
    MAP_FILE,
    PROCESS_PART,
    REDUCE_FILE,
    TIDY_PARTS,
    FilePart,
    MapFile,
    MappedFile,
    ProcessedPart,
    ReducedFile,
    ReduceFile,
    TidyParts,
)
from jobs_worker import Fail, JobContext, WaitForChildren, processor
from jobs_worker.files import FileStore, store
from jobs_worker.queues.data_processing.plans import (
    PARTS,
    Plan,
    folder_of,
    make_plan,
    output_of,
    part_path,
    read_plan,
    refused,
    sweep,
    write_plan,
)
from jobs_worker.queues.data_processing.statements import Task
from jobs_worker.queues.data_processing.tables import tables
from jobs_worker.queues.data_processing.working import Joined, join_parts, work_on


@processor(MAP_FILE, executor="process")
def map_file(payload: MapFile, ctx: JobContext) -> MappedFile:
    """Let each part choose, convert and filter its rows, and join what they wrote, in order."""
    plan, parts, joined = _run(payload, ctx)
    return MappedFile(
        output=joined.path,
        rows=joined.rows,
        columns=plan.statement.names,
        parts=len(parts),
        bytes=joined.bytes,
    )


@processor(REDUCE_FILE, executor="process")
def reduce_file(payload: ReduceFile, ctx: JobContext) -> ReducedFile:
    """Let each part work out its groups, and bring together those of all parts."""
    plan, parts, joined = _run(payload, ctx)
    return ReducedFile(
        output=joined.path,
        groups=joined.rows,
        rows=sum(part.rows for part in parts),
        columns=plan.statement.names,
        first=joined.first,
        parts=len(parts),
        bytes=joined.bytes,
    )


@processor(PROCESS_PART, executor="process")
def process_part(payload: FilePart, ctx: JobContext) -> ProcessedPart:
    """Do with one part what the plan says, and write what comes of it beside the plan."""
    files = store()
    plan = read_plan(files, payload.plan)
    if not 0 <= payload.number < len(plan.spans):
        raise Fail(f"{payload.plan!r} has no part {payload.number}")
    target = part_path(payload.plan.rpartition("/")[0], payload.number)
    with refused(plan.task.source), tables(files) as opened:
        rows = work_on(files, opened, plan, payload.number, target)
    ctx.progress(100, message=f"{rows} rows")
    return ProcessedPart(path=target, rows=rows)


@processor(TIDY_PARTS)
def tidy_parts(payload: TidyParts, ctx: JobContext) -> None:
    """Delete what the parts of a job wrote, which has completed."""
    files = store()
    with refused(payload.folder):
        if not payload.folder.startswith(f"{PARTS}/"):
            raise Fail(f"only what lies under {PARTS} is tidied")
        for path in files.list(payload.folder):
            files.delete(path)
    ctx.log.debug("data.tidied", folder=payload.folder)


def _run(task: Task, ctx: JobContext) -> tuple[Plan, list[ProcessedPart], Joined]:
    """Split the file and wait for its parts; in the run that finds them ended, join what they wrote. Raises WaitForChildren, Fail."""
    files = store()
    folder = folder_of(ctx.job_id, ctx.created_at)
    output = output_of(task, ctx.job_id)
    if not ctx.children:
        with refused(task.source):
            _split(files, task, ctx, folder, output)
        raise WaitForChildren
    plan = read_plan(files, f"{folder}/plan.json")
    done = {part.path: part for part in ctx.children.results(PROCESS_PART)}
    paths = [part_path(folder, number) for number in range(len(plan.spans))]
    left = [number for number, path in enumerate(paths) if path not in done]
    if left:
        _again(files, ctx, folder, left)
    with refused(task.source), tables(files) as opened:
        joined = join_parts(files, opened, plan, paths, output)
    # Only when this job has completed: whoever runs it again until then needs the parts.
    ctx.enqueue(TIDY_PARTS, TidyParts(folder=folder))
    ctx.progress(current=len(paths), total=len(paths), message="joined")
    return plan, [done[path] for path in paths], joined


def _split(files: FileStore, task: Task, ctx: JobContext, folder: str, output: str) -> None:
    sweep(files)
    with tables(files) as opened:
        plan = make_plan(files, opened, task, output)
    write_plan(files, f"{folder}/plan.json", plan)
    _add_parts(ctx, folder, range(len(plan.spans)))
    ctx.progress(current=0, total=len(plan.spans), message=f"split into {len(plan.spans)} parts")


def _again(files: FileStore, ctx: JobContext, folder: str, left: Sequence[int]) -> NoReturn:
    """Fail for the parts that did not complete; where this job was retried since, do them again. Raises Fail, WaitForChildren."""
    told = f"{folder}/failed-{len(ctx.children)}"
    if not files.exists(told):
        files.write_bytes(told, b"")
        reason = next((each.error for each in ctx.children.failures[::-1]), None)
        raise Fail(f"{len(left)} of its parts did not complete: {reason}")
    _add_parts(ctx, folder, left)
    raise WaitForChildren


def _add_parts(ctx: JobContext, folder: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        # Ignored, so that this job is the one to say why a part failed.
        ctx.add_child(PROCESS_PART, FilePart(plan=f"{folder}/plan.json", number=number), policy="ignore")
