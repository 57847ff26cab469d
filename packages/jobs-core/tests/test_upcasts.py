"""From one version of a payload to a later one: what may be declared, and where it leads."""

from typing import Any

import pytest
from msgspec import Struct

from jobs_core import DeclarationError, JobType, OptionError, PayloadError, Queue, upcast
from jobs_core.upcasts import chain, upcasted


class V1(Struct):
    to: str


class V2(Struct):
    to: str
    language: str


class V3(Struct):
    to: list[str]
    language: str


def versions() -> tuple[JobType[V1, None], JobType[V2, None], JobType[V3, None]]:
    queue = Queue("mail")
    return queue.job("send", V1), queue.job("send", V2, version=2), queue.job("send", V3, version=3)


def test_a_chain_leads_to_the_first_version_that_is_served() -> None:
    first, second, third = versions()

    @upcast(first, second)
    def _(old: V1) -> V2:
        return V2(old.to, "en")

    @upcast(second, third)
    def _(old: V2) -> V3:
        return V3([old.to], old.language)

    steps = first.queue.upcasts
    both = chain(steps, "send@1", {"send@3"})
    assert [step.after.wire_name for step in both] == ["send@2", "send@3"]
    assert upcasted(both, V1("ada")) == V3(["ada"], "en")
    assert [step.after.wire_name for step in chain(steps, "send@1", {"send@2", "send@3"})] == ["send@2"]
    assert chain(steps, "send@1", {"note@1"}) == chain(steps, "send@3", {"send@2"}) == ()


def test_an_upcaster_leads_upwards_within_one_job() -> None:
    first, second, _third = versions()
    other = Queue("mail").job("note", V2, version=2)
    elsewhere = Queue("post").job("send", V2, version=2)
    pairs: list[tuple[JobType[Any, Any], JobType[Any, Any]]]
    pairs = [(second, first), (first, first), (first, other), (first, elsewhere)]
    for before, after in pairs:
        with pytest.raises(DeclarationError, match="one version of a job to a later one") as caught:
            upcast(before, after)(lambda old: old)
        assert caught.value.file.startswith(f"{__file__}:")


def test_two_upcasters_from_one_version_are_refused() -> None:
    first, second, third = versions()

    @upcast(first, second)
    def _(old: V1) -> V2:
        return V2(old.to, "en")

    with pytest.raises(DeclarationError, match="already has an upcaster"):
        upcast(first, third)(lambda old: V3([old.to], "en"))


def test_an_upcaster_that_fails_or_makes_nonsense_is_named() -> None:
    first, second, _third = versions()

    @upcast(first, second)
    def _(old: V1) -> V2:
        if old.to == "nobody":
            raise KeyError(old.to)
        return V2(5, "en")  # pyright: ignore[reportArgumentType] - what does not fit is the point

    steps = chain(first.queue.upcasts, "send@1", {"send@2"})
    with pytest.raises(PayloadError, match=r"test_upcasts.py:\d+ failed: KeyError: 'nobody'"):
        upcasted(steps, V1("nobody"))
    with pytest.raises(PayloadError, match=r"at \$\.to"):
        upcasted(steps, V1("ada"))


def test_the_format_is_declared_for_the_queue_or_the_job() -> None:
    queue = Queue("mail", format="msgpack")
    assert queue.job("send", V1).encode(V1("ada")) == b"\x81\xa2to\xa3ada"
    plain = queue.job("note", V1, format="json")
    assert plain.encode(V1("ada")) == b'{"to":"ada"}'
    # Whatever it is declared as, what was written before is read.
    assert plain.decode(b"\x81\xa2to\xa3ada", "msgpack") == V1("ada")
    assert queue != Queue("mail")
    assert queue.dynamic_job("any").encode({"a": b"\xff"}) == b"\x81\xa1a\xc4\x01\xff"  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="json or msgpack"):
        Queue("mail", format="xml")  # pyright: ignore[reportArgumentType]
    with pytest.raises(PayloadError, match="'xml', which this version does not read"):
        plain.decode(b"<to/>", "xml")
    with pytest.raises(PayloadError, match=r"\$.to: expected `str`, got `int`"):
        queue.job("send", V1).encode(V1(5))  # pyright: ignore[reportArgumentType]
