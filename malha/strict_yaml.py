"""YAML files of operators, read so that nothing in them is lost without a word."""

from __future__ import annotations

from typing import Any

import yaml


class NotYamlError(ValueError):
    """A text that is no YAML, in one line that says where."""


class _EachKeyOnce(yaml.SafeLoader):
    """YAML forbids a key twice in one mapping; this library keeps the last and says nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return node


def parse(text: str | bytes) -> Any:
    """What a YAML document says, of plain types alone.

    Raises:
        NotYamlError: it is none, or a key stands twice in one mapping.
    """
    try:
        return yaml.load(text, _EachKeyOnce)  # noqa: S506  # a safe loader, and stricter
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError: a date that is none
        raise NotYamlError(" ".join(str(error).split())) from None
