"""A contract that cannot be kept stops the start, and says which and why."""

from __future__ import annotations

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
    ],
)
def test_an_unsound_contract_is_refused(contract: dict[str, object], why: str) -> None:
    with pytest.raises(UnsoundToolError, match=why):
        Registry([ToldTool(**contract)])  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("schema", ["", "{", '{"type": "objekt"}', '{"type": "string"}', "{}"])
def test_arguments_must_be_an_object_by_a_valid_schema(schema: str) -> None:
    tool = ToldTool()
    tool.contract.input_schema_json = schema
    with pytest.raises(UnsoundToolError, match="told"):
        Registry([tool])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(UnsoundToolError, match="told"):
        Registry([ToldTool(), ToldTool()])


def test_a_contract_without_a_timeout_or_a_tier_gets_the_defaults() -> None:
    registry = Registry([ToldTool()], default_timeout=10.0)
    [contract] = registry.within(Tier.TIER_FREE)
    assert contract.timeout.seconds == 10
    assert contract.min_tier == Tier.TIER_FREE


def test_tools_of_other_packages_are_named_in_the_settings(tmp_path: Path) -> None:
    named = {"malha.testing.tools:file_appender": {"path": str(tmp_path / "lines")}}
    [tool] = extra_tools(named)
    assert isinstance(tool, FileAppender)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("malha.testing.nothing:factory", {}),
        ("malha.testing.tools:nothing", {}),
        ("malha.testing.tools", {}),
        ("malha.testing.tools:file_appender", {"colour": "red"}),
        ("malha.ids:ulid", {}),
    ],
)
def test_a_name_that_leads_to_no_tool_stops_the_start(path: str, arguments: dict[str, str]) -> None:
    with pytest.raises(UnsoundToolError, match=path):
        list(extra_tools({path: arguments}))
