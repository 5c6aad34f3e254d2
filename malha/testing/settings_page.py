"""docs/settings.md, made of the services' settings, so that the page cannot drift from the code.

python -m malha.testing.settings_page > docs/settings.md
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from itertools import pairwise
from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from malha.settings import ServiceSettings
from malha.stack.secrets import SERVICES

OPENING = """\
# Settings

Every setting is an environment variable of one service: its prefix, then the setting's name. A variable
under a prefix that nothing reads stops the start of that service and names those there are. `malha up`
chooses addresses, folders and secrets by itself and hands on every `MALHA_<SERVICE>_*` variable it was
started with. Lists and maps are JSON.

This page is made of the code: `python -m malha.testing.settings_page > docs/settings.md`.
"""


def page() -> str:
    """The whole page."""
    shared = set(ServiceSettings.model_fields)
    parts = [OPENING, _section("Of every service", "MALHA_<SERVICE>_", ServiceSettings, shared)]
    for service in SERVICES:
        settings: type[ServiceSettings] = importlib.import_module(f"malha_{service}.settings").Settings
        prefix = str(settings.model_config.get("env_prefix"))
        own = set(settings.model_fields) - shared
        parts.append(_section(f"Of the {service} service", prefix, settings, own))
    return "\n".join(parts)


def _section(title: str, prefix: str, settings: type[ServiceSettings], names: set[str]) -> str:
    said = _docstrings(settings)
    lines = [
        f"- `{prefix}{name.upper()}` ({_default(settings, name)}): {said[name]}"
        for name in settings.model_fields
        if name in names
    ]
    return "\n".join([f"## {title}\n", *lines, ""])


def _default(settings: type[ServiceSettings], name: str) -> str:
    value = settings.model_fields[name].get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "needed"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "empty" if value in (None, "", {}) else str(value)


def _docstrings(settings: type[ServiceSettings]) -> dict[str, str]:
    """The text under each field of the class, on one line."""
    tree = ast.parse(Path(inspect.getfile(settings)).read_text(encoding="utf-8"))
    (stated,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == settings.__name__
    )
    found: dict[str, str] = {}
    for field, text in pairwise(stated.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = _as_markdown(" ".join(said.split()))
    return found


def _as_markdown(text: str) -> str:
    """What stands in angle brackets would be read as HTML, unless it is code."""
    return re.sub(r'"([^"]*<[^"]*)"', r"`\1`", text.replace("``", "`"))


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - it is a program's output
