"""A contract that cannot be kept stops the start, and says which and why."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.run.v1.record_pb2 import Effect, Risk
from malha.testing.tools import FileAppender, ToldTool
from malha_tools.loading import extra_tools
from malha_tools.registry import Registry, UnsoundToolError


@pytest.mark.parametrize(
    ("contract", "why"),
    [
        ({"name": "Told"}, "lower-case"),
        ({"name": ""}, "lower-case"),
        ({"name": "a b"}, "lower-case"),
        ({"effect": Effect.EFFECT_UNSPECIFIED}, "effect"),
        ({"effect": Effect.EFFECT_ONCE, "cache_ttl": {"seconds": 1}}, "cached"),
        ({"harmless": True, "risk": Risk.RISK_MEDIUM}, "harmless"),
        ({"timeout": {"seconds": -1}}, "less than zero"),
        ({"effect": Effect.EFFECT_READ, "cache_ttl": {"seconds": -1}}, "less than zero"),
        ({"price_microusd": -1}, "less than zero"),
    ],
)
def test_an_unsound_contract_is_refused(contract: dict[str, object], why: str) -> None:
    with pytest.raises(UnsoundToolError, match=why):
        Registry([ToldTool(**contract)])  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("schema", ["", "{", '{"type": "objekt"}', '{"type": "string"}', "{}", "true", "[]"])
def test_arguments_must_be_an_object_by_a_valid_schema(schema: str) -> None:
    tool = ToldTool()
    tool.contract.input_schema_json = schema
    with pytest.raises(UnsoundToolError, match="told"):
        Registry([tool])


@pytest.mark.parametrize("reference", ["#/$defs/nothing", "#nothing", "https://schemas.example/line"])
def test_a_schema_that_refers_to_what_it_does_not_hold_is_refused(reference: str) -> None:
    tool = ToldTool()
    tool.contract.output_schema_json = json.dumps({"type": "array", "items": {"$ref": reference}})
    with pytest.raises(UnsoundToolError, match=f"{re.escape(reference)} leads nowhere"):
        Registry([tool])


def test_a_schema_may_refer_to_its_own_parts_and_a_property_may_be_called_as_it_likes() -> None:
    tool = ToldTool()
    named = {
        "$defs": {"line": {"$anchor": "line", "type": "string"}},
        "properties": {"$ref": {"$ref": "#line"}},
    }
    tool.contract.input_schema_json = json.dumps({"type": "object"} | named)
    Registry([tool])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(UnsoundToolError, match="told"):
        Registry([ToldTool(), ToldTool()])


@pytest.mark.parametrize("timeout", [None, {"seconds": 0}])
def test_a_contract_without_a_timeout_or_a_tier_gets_the_defaults(timeout: dict[str, int] | None) -> None:
    registry = Registry([ToldTool(timeout=timeout)], default_timeout=10.0)
    [contract] = registry.within(Tier.TIER_FREE)
    assert contract.timeout.seconds == 10
    assert contract.min_tier == Tier.TIER_FREE


def test_tools_of_other_packages_are_named_in_the_settings(tmp_path: Path) -> None:
    named = {"malha.testing.tools:file_appender": {"path": str(tmp_path / "lines")}}
    [tool] = extra_tools(named)
    assert isinstance(tool, FileAppender)


def without_its_file() -> None:
    raise FileNotFoundError("stations.json")


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("malha.testing.nothing:factory", {}),
        ("malha.testing.tools:nothing", {}),
        ("malha.testing.tools", {}),
        ("malha.testing.tools:file_appender", {"colour": "red"}),
        ("malha.ids:ulid", {}),
        ("tests.unit.tools.test_registry:without_its_file", {}),
    ],
)
def test_a_name_that_leads_to_no_tool_stops_the_start(path: str, arguments: dict[str, str]) -> None:
    with pytest.raises(UnsoundToolError, match=path):
        list(extra_tools({path: arguments}))
