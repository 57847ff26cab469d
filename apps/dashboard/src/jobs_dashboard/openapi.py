"""The OpenAPI 3.1 document, made of the table of routes and of the types that its handlers name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
from msgspec import NODEFAULT, UNSET

from jobs_core.errors import ConnectionFailed, OptionError
from jobs_dashboard.problems import PROBLEM_TYPE, Problem, codes_of

if TYPE_CHECKING:
    from jobs_dashboard.row import Row

__all__ = ["document"]

_REF = "#/components/schemas/{name}"
_BODY_STATUS = {408: "body_too_slow", 413: "body_too_large", 415: "media_type"}
_REASONS = {
    200: "Done.",
    201: "Made.",
    202: "Taken.",
    204: "Done.",
    207: "What became of each item.",
    304: "As it was.",
    400: "Malformed.",
    401: "Nobody is signed in.",
    403: "Not allowed.",
    404: "Not there.",
    408: "The body came too slowly.",
    409: "Not in this state.",
    413: "Too large.",
    415: "The body is not told to be JSON.",
    422: "A parameter, or the body, is wrong.",
    429: "Too many.",
    500: "The dashboard failed.",
    502: "The server refused.",
    503: "The server, or this dashboard, cannot take it now.",
    504: "It took too long.",
}

Schema: TypeAlias = dict[str, Any]


def document(rows: Sequence[Row], version: str) -> Schema:
    """Return the document."""
    told = [row for row in rows if row.media != "text/html"]
    taken = [kind for row in told for kind in (*row.named.values(), row.query, row.body) if kind is not None]
    given = [kind for row in told for kind in row.answers.values() if kind is not None]
    types = [*taken, *given, Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = [*zip(types, schemas, strict=True)]
    _require_all([*given], [*taken], components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobs",
            "version": version,
            "description": "Queues, jobs, schedules and workers, looked at and changed.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "../"}],
        "paths": _paths(told, by_type, components),
        "components": {
            "schemas": _tidy(_without_queries(told, components)),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "jobs_session"},
            },
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(row.tag for row in told)],
    }


def _paths(rows: Iterable[Row], by_type: Sequence[tuple[object, Schema]], components: Schema) -> Schema:
    def schema_of(kind: object) -> Schema:
        return next(schema for known, schema in by_type if known is kind or known == kind)

    paths: Schema = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schema_of, components)
    return paths


def _operation(row: Row, schema_of: Any, components: Schema) -> Schema:  # noqa: ANN401 - of JSON schemas
    text = inspect.getdoc(row.handler) or ""
    summary, _, rest = text.partition("\n")
    operation: Schema = {
        "operationId": row.name,
        "tags": [row.tag],
        "summary": summary.rstrip("."),
        "description": f"{rest.strip()}\n\n{_who(row)}".strip(),
        "parameters": [*_named(row, schema_of), *_query(row, schema_of, components)],
        "responses": _responses(row, schema_of),
        "security": [] if row.role is None else [{"token": []}, {"session": []}],
    }
    if row.body is not None:
        operation["requestBody"] = {
            "required": not row.body_optional,
            "content": {"application/json": {"schema": schema_of(row.body)}},
        }
    return {key: value for key, value in operation.items() if value != [] or key == "security"}


def _who(row: Row) -> str:
    return "Anybody may ask." if row.role is None else f"Needs the role {row.role.label}."


def _named(row: Row, schema_of: Any) -> list[Schema]:  # noqa: ANN401
    return [
        {"name": name, "in": "path", "required": True, "schema": schema_of(kind)}
        for name, kind in row.named.items()
    ]


def _query(row: Row, schema_of: Any, components: Schema) -> list[Schema]:  # noqa: ANN401
    if row.query is None:
        return []
    reference = cast("str", schema_of(row.query)["$ref"])
    described = cast("Schema", components[reference.rpartition("/")[2]])
    required = set(cast("list[str]", described.get("required", [])))
    found: list[Schema] = []
    for name, schema in cast("dict[str, Schema]", described["properties"]).items():
        parameter: Schema = {"name": name, "in": "query", "required": name in required, "schema": schema}
        if (text := schema.get("description")) is not None:
            parameter["description"] = text
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": True}
        found.append(parameter)
    return found


def _responses(row: Row, schema_of: Any) -> Schema:  # noqa: ANN401
    responses: Schema = {}
    for status, kind in row.answers.items():
        number = 204 if kind is None and status == 200 and row.media == "application/json" else status
        responses[str(number)] = {"description": _REASONS[number]}
        if row.media != "application/json":
            responses[str(number)]["content"] = {row.media: {"schema": {"type": "string"}}}
        elif kind is not None:
            responses[str(number)]["content"] = {row.media: {"schema": schema_of(kind)}}
    if row.method == "GET" and row.media == "application/json":
        responses["304"] = {"description": _REASONS[304]}
    for status, codes in sorted(_problems(row).items()):
        told = f"{_REASONS[status]} {', '.join(f'`{code}`' for code in codes)}".strip()
        content = {PROBLEM_TYPE: {"schema": schema_of(Problem)}}
        known = responses.setdefault(str(status), {"description": told, "content": {}})
        known["content"] = {**known.get("content", {}), **content}
    return responses


def _problems(row: Row) -> dict[int, list[str]]:
    found = codes_of((*row.errors, ConnectionFailed, OptionError))
    found.setdefault(403, []).append("forbidden")
    found.setdefault(504, []).append("timeout")
    for status, code in row.codes.items():
        found.setdefault(status, []).append(code)
    if row.path.startswith("/api"):
        found.setdefault(401, []).append("not_signed_in")
        found.setdefault(429, []).append("too_many_attempts")
    if row.body is not None:
        for status, code in _BODY_STATUS.items():
            found.setdefault(status, []).append(code)
        found.setdefault(400, []).append("malformed_body")
    return found


def _without_queries(rows: Sequence[Row], components: Schema) -> Schema:
    """Leave out what is told parameter by parameter."""
    queries = {row.query.__name__ for row in rows if row.query is not None}
    return {name: schema for name, schema in components.items() if name not in queries}


def _require_all(given: Sequence[object], taken: Sequence[object], components: Schema) -> None:
    """Say of what is answered that all of its fields are always there: a default is none for who reads."""
    read = _structs(given) - _structs(taken) - {Problem}
    for kind in read:
        schema = cast("Schema", components.get(kind.__name__, {}))
        config = kind.__struct_config__
        if config.omit_defaults or "properties" not in schema:
            continue
        schema["required"] = [
            field.encode_name for field in msgspec.structs.fields(kind) if field.default is not UNSET
        ]


def _structs(kinds: Iterable[object]) -> set[type[msgspec.Struct]]:
    found: set[type[msgspec.Struct]] = set()

    def walk(node: object) -> None:
        if isinstance(node, tuple):
            for each in cast("tuple[object, ...]", node):
                walk(each)
        elif isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)):
            if isinstance(node, msgspec.inspect.StructType):
                if node.cls in found:
                    return
                found.add(node.cls)
            for field in node.__struct_fields__:
                walk(getattr(node, field))

    for kind in kinds:
        walk(msgspec.inspect.type_info(kind))
    return found


def _tidy(components: Schema) -> Schema:
    """Lay descriptions out as paragraphs of one line each, and leave out defaults that are none."""

    def walk(node: object) -> object:
        if isinstance(node, dict):
            mapping = cast("dict[str, object]", node)
            return {
                key: _text(value) if key == "description" and isinstance(value, str) else walk(value)
                for key, value in mapping.items()
                if value is not NODEFAULT
            }
        if isinstance(node, list):
            return [walk(each) for each in cast("list[object]", node)]
        return node

    return cast("Schema", walk(components))


def _text(text: str) -> str:
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", part) for part in text.split("\n\n"))
