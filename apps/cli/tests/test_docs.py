"""The page about the command says what the command does."""

import inspect
import re
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from jobs_cli.changing import Which
from jobs_cli.main import COMMANDS

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^### jobs (.+?)$(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


# Told once, for all commands that change something.
COMMON = {"--reason", "--actor", "--query", "--limit", "--rate", "--cursor", "--dry-run", "--undo-window"}


def options_of(command: str) -> set[str]:
    module, _, function = COMMANDS[command].partition(":")
    command_of = getattr(import_module(f"jobs_cli.commands.{module}"), function)
    parameters = inspect.signature(command_of).parameters
    named = [name for name, one in parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY]
    # Options that several commands share stand in a dataclass.
    if "which" in named:
        named = [*(name for name in named if name != "which"), *(each.name for each in fields(Which))]
    return {f"--{name.replace('_', '-').rstrip('-')}" for name in named}


def test_it_has_a_section_for_every_command() -> None:
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_shown_and_none_is_made_up(command: str) -> None:
    shown = {
        word
        for line in re.findall(r"^\$ (.*\bjobsctl .*)$", SECTIONS[command], re.MULTILINE)
        for word in shlex.split(line)
        if word.startswith("--")
    }
    told = set(re.findall(r"(?<!\S)`(--[a-z-]+)`", SECTIONS[command]))
    assert (shown | told) - COMMON == options_of(command) - COMMON


@pytest.mark.parametrize("line", re.findall(r"^\$ (.*\bjobsctl .*)$", PAGE, re.MULTILINE))
def test_every_example_names_a_command(line: str) -> None:
    words = shlex.split(line)
    words = words[words.index("jobsctl") + 1 :]
    assert words[0] in COMMANDS or " ".join(words[:2]) in COMMANDS
