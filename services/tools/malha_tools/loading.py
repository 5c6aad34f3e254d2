"""Tools of other packages, named in the settings.

``{"package.module:factory": {"argument": "value"}}``: the factory is called with the arguments and
returns a tool. Nobody but the operator writes settings, so importing what they name is no hole.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import cast

from malha_tools.ports import Tool
from malha_tools.registry import UnsoundToolError


def extra_tools(named: Mapping[str, Mapping[str, str]]) -> Iterator[Tool]:
    """Each named tool, made.

    Raises:
        UnsoundToolError: says which name leads to no tool.
    """
    for path, arguments in named.items():
        module, _, name = path.partition(":")
        try:
            factory = getattr(importlib.import_module(module), name)
            tool = factory(**arguments)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise UnsoundToolError(f"{path}: no tool can be made of it: {why}") from error
        if not hasattr(tool, "contract") or not hasattr(tool, "run"):
            raise UnsoundToolError(f"{path}: what it makes has no contract or no run")
        yield cast(Tool, tool)
