"""Workers, and how many of them there should be."""

from __future__ import annotations

from jobs_admin import RunningRecord, ScaleRecord, ScalerRecord, WorkerRecord, WorkerStack
from jobs_core.durations import parse_duration
from jobs_dashboard.bodies import WorkerConcurrency, WorkerState
from jobs_dashboard.call import Call
from jobs_dashboard.records import Change, Name, ScalerQuery, WorkerId

_NO_REASON = Change()


async def list_workers(call: Call) -> list[WorkerRecord]:
    """List the workers that were heard of in the last 10 min, sorted by id."""
    return await call.admin.workers()


async def list_running(call: Call, worker_id: WorkerId) -> list[RunningRecord]:
    """List jobs that a worker runs, 100 at most, those that run for longest first."""
    return await call.admin.running(worker_id)


async def list_scales(call: Call) -> list[ScaleRecord]:
    """List the numbers of children that somebody set and nobody released."""
    return await call.admin.scales()


async def get_scaler(call: Call, profile: Name, query: ScalerQuery) -> ScalerRecord:
    """Say how many workers of a weight class there should be: enough to do in time what there is."""
    within = parse_duration(query.within, name="within")
    return await call.admin.scaler(profile, within=within)


async def quiet_worker(call: Call, worker_id: WorkerId, body: Change = _NO_REASON) -> WorkerState:
    """Let a worker claim no more; what runs goes on."""
    return WorkerState(await call.acting(body.reason).quiet_worker(worker_id))


async def resume_worker(call: Call, worker_id: WorkerId, body: Change = _NO_REASON) -> WorkerState:
    """Let a worker that was quieted claim again."""
    return WorkerState(await call.acting(body.reason).resume_worker(worker_id))


async def stop_worker(call: Call, worker_id: WorkerId, body: Change = _NO_REASON) -> WorkerState:
    """End a worker: it finishes what runs, within its grace."""
    return WorkerState(await call.acting(body.reason).stop_worker(worker_id))


async def set_worker_concurrency(call: Call, worker_id: WorkerId, body: WorkerConcurrency) -> WorkerState:
    """Let each child of a worker run so many jobs of a queue at once, until the worker ends."""
    return WorkerState(await call.acting(body.reason).set_concurrency(worker_id, body.queue, body.number))


async def dump_worker_stacks(call: Call, worker_id: WorkerId) -> tuple[WorkerStack, ...]:
    """Tell what all threads of a worker's children are doing, also of one that C code holds."""
    return await call.admin.stacks(worker_id)
