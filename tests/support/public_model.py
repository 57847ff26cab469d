"""A queue as its documentation describes it, in plain Python: what the public API is held against. It knows nothing of keys or scripts."""

from __future__ import annotations

from tests.support.model_callers import Callers
from tests.support.model_people import People
from tests.support.model_workers import Workers


class Model(Callers, Workers, People):
    """A queue. Every method is one call of the API, and returns what that has to answer."""
