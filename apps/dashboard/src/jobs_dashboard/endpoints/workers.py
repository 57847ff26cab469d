"""Workers, and how many of them there should be."""

from __future__ import annotations

from jobs_admin import ScaleRecord, ScalerRecord, WorkerRecord
from jobs_core.durations import parse_duration
from jobs_dashboard.call import Call
from jobs_dashboard.records import Name, ScalerQuery


async def list_workers(call: Call) -> list[WorkerRecord]:
    """List the workers that were heard of in the last 10 min, sorted by id."""
    return await call.admin.workers()


async def list_scales(call: Call) -> list[ScaleRecord]:
    """List the numbers of children that somebody set and nobody released."""
    return await call.admin.scales()


async def get_scaler(call: Call, profile: Name, query: ScalerQuery) -> ScalerRecord:
    """Say how many workers of a weight class there should be: enough to do in time what there is."""
    within = parse_duration(query.within, name="within")
    return await call.admin.scaler(profile, within=within)
