"""Render the mail templates that lie beside this module."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from jobs_core.payloads import JsonValue
from jobs_worker import Fail

_FOLDER = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_SUBJECT = ".subject.txt"


class Rendered(NamedTuple):
    """One mail's subject, plain text and HTML."""

    subject: str
    text: str
    html: str


def render(template: str, context: Mapping[str, JsonValue]) -> Rendered:
    """Render the three parts of a template; values are escaped in the HTML part and never read as templates.

    Raises Fail for a template that does not exist and for a variable that is missing or unfit.
    """
    if not _NAME.fullmatch(template) or not (_FOLDER / f"{template}{_SUBJECT}").is_file():
        raise Fail(f"there is no mail template {template!r}. There are: {', '.join(names())}")
    try:
        subject, text, html = (
            _ENVIRONMENT.get_template(template + ending).render(context)
            for ending in (_SUBJECT, ".txt", ".html")
        )
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        # The same template and context give the same error again, so no retry can help.
        raise Fail(f"mail template {template!r}: {error}") from error
    return Rendered(subject.strip(" \n"), text, html)


def names() -> list[str]:
    """Return the names of the templates there are."""
    return sorted(path.name.removesuffix(_SUBJECT) for path in _FOLDER.glob(f"*{_SUBJECT}"))


def _link(value: object) -> str:
    """Let only web addresses through: a mail client would run the code in a `javascript:` one."""
    # A missing variable raises here, by its name.
    text = str(value)
    if urlsplit(text).scheme not in {"http", "https"}:
        raise jinja2.TemplateRuntimeError("a link must be a URL that begins with http:// or https://")
    return text


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["link"] = _link
    return environment


_ENVIRONMENT = _environment()
