"""Payloads and results: what fits its type, what does not, and what it costs to be large."""

import enum
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict, cast

import pytest
from msgspec import Meta, Raw, Struct, field

from jobs_core import DeclarationError, JobType, JsonValue, PayloadError, PayloadTooLarge, Queue


class Mail(Struct, frozen=True, kw_only=True):
    """A payload with all that can go wrong."""

    to: str
    copies: list[str] = []
    weight: float = 1.0
    share: float | None = None
    more: "Mail | None" = None
    renamed: int = field(default=0, name="otherName")


class Receipt(Struct):
    """A result."""

    sent: bool


class Shape(TypedDict):
    """A payload as a typed dict."""

    side: int


class Pair(NamedTuple):
    """A payload as a named tuple."""

    a: int
    b: str


@dataclass
class Point:
    """A payload as a dataclass."""

    x: float


class Colour(enum.Enum):
    """A payload as an enum."""

    RED = "red"


UserId = NewType("UserId", int)


def job(payload: object, result: object = None) -> JobType[Any, Any]:
    return Queue("email").job("send-email", cast("type[Any]", payload), cast("type[Any]", result))


def refusal(declared: object, value: object) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        job(declared).encode(value)
    return caught.value


class Unknown:
    """What msgspec cannot carry."""


class Dangling(Struct):
    """A payload whose annotation names nothing."""

    other: "Missing"  # pyright: ignore[reportUndefinedVariable]  # noqa: F821


class Holder(Struct):
    """A payload that holds what cannot be carried."""

    inner: list[Unknown]


@pytest.mark.parametrize(
    "declared",
    [
        Unknown,
        complex,
        Holder,
        Dangling,
        dict[str, Unknown],
        dict[tuple[int, int], int],
        Mail | dict[str, int],
        5,
    ],
    ids=str,
)
def test_types_that_json_cannot_carry_are_refused_where_declared(declared: object) -> None:
    for payload, result in ((declared, None), (Mail, declared)):
        with pytest.raises(DeclarationError) as caught:
            job(payload, result)
        assert caught.value.file.startswith(f"{__file__}:")
        assert "'send-email'" in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "value", "data"),
    [
        (Mail, Mail(to="ada"), None),
        (Mail, Mail(to="ada", more=Mail(to="b", share=0.5)), None),
        (Receipt, Receipt(sent=True), b'{"sent":true}'),
        (Shape, Shape(side=3), b'{"side":3}'),
        (Pair, Pair(1, "b"), b'[1,"b"]'),
        (Point, Point(1.5), b'{"x":1.5}'),
        (Colour, Colour.RED, b'"red"'),
        (UserId, UserId(7), b"7"),
        (dict[str, int], {"a": 1}, b'{"a":1}'),
        (list[int], [1, 2], b"[1,2]"),
        (Sequence[int], [1, 2], b"[1,2]"),
        (Mapping[str, int], {"a": 1}, b'{"a":1}'),
        (set[int], {1}, b"[1]"),
        (str, "é", '"é"'.encode()),
        (int, 7, b"7"),
        (float, 7, b"7"),
        (bool, True, b"true"),
        (None, None, b"null"),
        (bytes, b"a", b'"YQ=="'),
        (int | None, None, b"null"),
        (Literal["a", "b"], "a", b'"a"'),
        (Annotated[int, Meta(ge=1)], 1, b"1"),
        (datetime, datetime(2030, 1, 1, tzinfo=UTC), b'"2030-01-01T00:00:00Z"'),
        (JsonValue, {"a": [1, None, {"b": 0.5}]}, b'{"a":[1,null,{"b":0.5}]}'),
        (dict[str, object], {"a": None}, b'{"a":null}'),
        (object, [1], b"[1]"),
        (Any, "x", b'"x"'),
    ],
    ids=str,
)
def test_payloads_go_there_and_back(declared: object, value: object, data: bytes | None) -> None:
    declared_job = job(declared)
    encoded = declared_job.encode(value)
    assert data is None or encoded == data
    assert declared_job.decode(encoded) == value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Mail(to=cast("str", 5)), "$.to"),
        (Mail(to="a", copies=["b", cast("str", None)]), "$.copies[1]"),
        (Mail(to="a", more=Mail(to=cast("str", 5))), "$.more.to"),
        (Mail(to="a", renamed=cast("int", "x")), "$.otherName"),
        (Mail(to="a", weight=math.nan), "$.weight"),
        (Mail(to="a", weight=-math.inf), "$.weight"),
        (Mail(to="a", share=math.nan), "$.share"),
        (Mail(to="a", more=Mail(to="b", share=math.inf)), "$.more.share"),
        ({"to": "a"}, "$"),
        ("a", "$"),
        (None, "$"),
    ],
    ids=str,
)
def test_payload_that_does_not_fit_is_refused_with_its_path(value: object, path: str) -> None:
    error = refusal(Mail, value)
    assert error.path == path
    assert (error.queue, error.job, error.what) == ("email", "send-email", "payload")


@pytest.mark.parametrize(
    ("declared", "value", "path"),
    [
        (dict[str, int], {"a": "b"}, "$[...]"),
        (dict[int, int], {"a": 1}, "$"),
        (dict[str, float | None], {"a": None, "b": math.nan}, "$.b"),
        (JsonValue, {"a": [1, math.inf]}, "$.a[1]"),
        (JsonValue, math.nan, "$"),
        (JsonValue, {"a": {1 + 2j}}, "$"),
        (JsonValue, "\ud800", "$"),
        (JsonValue, {(1, 2): 3}, "$"),
        (Any, [None, (math.nan,)], "$[1][0]"),
        (object, {"a": Mail(to="x", share=math.nan)}, "$.a.share"),
        (Point | None, Point(math.nan), "$.x"),
        (list[int], (1, 2), "$"),
        (list[int], {1}, "$"),
        (int, True, "$"),
        (str, b"a", "$"),
        (int | None, "x", "$"),
        (Literal["a"], "b", "$"),
        (Annotated[int, Meta(ge=1)], 0, "$"),
        (Shape, {"side": 1.5}, "$.side"),
        (Shape, Receipt(sent=True), "$"),
        pytest.param(Raw, Raw(b"[1,"), "$", id="Raw"),
    ],
    ids=str,
)
def test_other_types_are_checked_alike(declared: object, value: object, path: str) -> None:
    assert refusal(declared, value).path == path


def test_refusal_says_what_was_expected() -> None:
    assert refusal(Mail, Mail(to=cast("str", 5))).reason == "expected `str`, got `int`"
    assert refusal(Mail, {"to": "a"}).reason == "expected Mail, got dict"
    assert refusal(Mail, Mail(to="a", share=math.nan)).reason == "nan is not a JSON number"


def test_numbers_beyond_64_bits_do_not_hide_nan() -> None:
    assert refusal(JsonValue, [2**70, math.nan]).path == "$[1]"
    assert job(JsonValue).encode([2**70, None]) == b"[1180591620717411303424,null]"


def test_bytes_that_look_like_nan_pass() -> None:
    value = {"raw": b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "none": None}
    assert b"null" in job(dict[str, object]).encode(value)


def test_deep_nesting_is_refused_and_not_fatal() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert refusal(JsonValue, value).path == "$"


@pytest.mark.parametrize(
    ("data", "path"), [(b'{"to":5}', "$.to"), (b"{}", "$"), (b"{", "$"), (b'"\xff"', "$")]
)
def test_wrong_bytes_are_refused_with_their_path(data: bytes, path: str) -> None:
    with pytest.raises(PayloadError) as caught:
        job(Mail).decode(data)
    assert caught.value.path == path


def test_payload_over_the_cap_is_refused() -> None:
    assert len(job(str).encode("x" * (1024 * 1024 - 2))) == 1024 * 1024
    with pytest.raises(PayloadTooLarge) as caught:
        job(str).encode("x" * (1024 * 1024 - 1))
    assert (caught.value.size, caught.value.limit) == (1024 * 1024 + 1, 1024 * 1024)


def test_large_payload_warns_once_per_job_type(caplog: pytest.LogCaptureFixture) -> None:
    declared = job(str)
    with caplog.at_level(logging.WARNING, "jobs_core"):
        declared.encode("x" * 100 * 1000)
        assert not caplog.records
        for _ in range(3):
            declared.encode("x" * 100 * 1024)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        job(str).encode("x" * 100 * 1024)
    assert len(caplog.records) == 2
    assert "'send-email' in queue 'email'" in caplog.messages[0]
    assert "reference" in caplog.messages[0]


def test_results_are_checked_as_payloads_are() -> None:
    declared = job(Mail, Receipt)
    assert declared.decode_result(declared.encode_result(Receipt(sent=True))) == Receipt(sent=True)
    with pytest.raises(PayloadError, match="The result of job 'send-email'") as caught:
        declared.encode_result(Receipt(sent=cast("bool", 1)))
    assert (caught.value.path, caught.value.what) == ("$.sent", "result")


def test_result_without_declared_type_is_any_json() -> None:
    declared = job(Mail)
    assert declared.encode_result(None) == b"null"
    assert declared.decode_result(declared.encode_result({"a": [1]})) == {"a": [1]}
    with pytest.raises(PayloadError):
        declared.encode_result(math.nan)
