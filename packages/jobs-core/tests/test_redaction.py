from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest
from msgspec import Struct, field

from jobs_core.payloads import JsonValue
from jobs_core.redaction import MASK, Mask, redact

Secret = Annotated[str, redact]


class Login(Struct):
    user: str
    password: Secret
    pin: Annotated[int, redact] | None = None


class Renamed(Struct, rename="camel"):
    api_key: Secret
    other: Secret = field(name="else", default="")


class Listed(Struct, array_like=True, tag=True):
    user: str
    password: Secret


class Tree(Struct):
    below: list[Tree] = []
    beside: Tree | None = None
    name: Secret = ""


@dataclass
class Plain:
    token: Secret


class Typed(TypedDict):
    token: Secret


class Pair(NamedTuple):
    name: str
    token: Secret


class Other(Struct, tag=True):
    user: Secret


class One(Struct, tag=True):
    user: str
    token: Secret = ""


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (
            Login,
            {"user": "ada", "password": "hush", "pin": 1234},
            {"user": "ada", "password": MASK, "pin": MASK},
        ),
        (
            Login,
            {"user": "ada", "password": "hush", "pin": None},
            {"user": "ada", "password": MASK, "pin": None},
        ),
        (Renamed, {"apiKey": "k", "else": "x"}, {"apiKey": MASK, "else": MASK}),
        (Listed, ["Listed", "ada", "hush"], ["Listed", "ada", MASK]),
        (Tree, {"name": "a", "below": [{"name": "b"}]}, {"name": MASK, "below": [{"name": MASK}]}),
        (Tree, {"beside": {"beside": {"name": "b"}}}, {"beside": {"beside": {"name": MASK}}}),
        (Plain, {"token": "t"}, {"token": MASK}),
        (Typed, {"token": "t"}, {"token": MASK}),
        (Pair, ["n", "t"], ["n", MASK]),
        (dict[str, Secret], {"a": "b"}, {"a": MASK}),
        (dict[str, Login], {"a": {"password": "b"}}, {"a": {"password": MASK}}),
        (tuple[str, Secret], ["a", "b"], ["a", MASK]),
        (list[Login] | None, [{"password": "b"}], [{"password": MASK}]),
        (One | Other, {"user": "ada", "token": "t"}, {"user": MASK, "token": MASK}),
        (Annotated[Login, redact], {"user": "ada"}, MASK),
        (Secret, "x", MASK),
        (str, "x", "x"),
        (dict[str, Any], {"a": ["x"]}, {"a": ["x"]}),
    ],
)
def test_what_is_marked_is_masked_wherever_it_lies(kind: object, value: JsonValue, shown: JsonValue) -> None:
    assert Mask.of(kind).apply(value) == shown


def test_a_value_that_does_not_fit_its_type_is_masked_where_it_can_be() -> None:
    mask = Mask.of(Login)
    assert mask.apply({"password": {"nested": "hush"}, "more": 1}) == {"password": MASK, "more": 1}
    assert mask.apply("text") == "text"


@pytest.mark.parametrize(("kind", "hides"), [(Login, True), (Tree, True), (str, False), (list[int], False)])
def test_it_knows_whether_there_is_anything_to_hide(kind: object, *, hides: bool) -> None:
    assert Mask.of(kind).hides is hides


def test_of_several_versions_all_that_any_of_them_hides_is_hidden() -> None:
    assert Mask.of(One, Other).apply({"user": "a", "token": "b"}) == {"user": MASK, "token": MASK}


def test_secrets_are_the_texts_that_are_long_enough_to_be_looked_for() -> None:
    mask = Mask.of(Login)
    assert mask.secrets({"user": "ada lovelace", "password": "hush hush", "pin": 12}) == {"hush hush"}
    assert Mask.of(Annotated[Login, redact]).secrets({"user": "ada lovelace"}) == {"ada lovelace"}


def test_masks_that_were_left_alone_are_given_back_what_they_stood_for() -> None:
    mask = Mask.of(list[Login])
    before: JsonValue = [{"user": "ada", "password": "hush"}, {"user": "bob", "password": "shout"}]
    edited: JsonValue = [{"user": "eve", "password": MASK}, {"user": "bob", "password": "new"}]
    assert mask.restore(edited, before) == [
        {"user": "eve", "password": "hush"},
        {"user": "bob", "password": "new"},
    ]
    more: JsonValue = [{}, {}, {"user": "new", "password": MASK}]
    assert mask.has_mask(mask.restore(more, before))
    assert not mask.has_mask(mask.restore(edited, before))
