"""Agent files: what ships is sound, and a fault in a file is named to the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.run.v1.record_pb2 import Risk
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import MalhaError
from malha_planner.adapters.agent_files import SHIPPED, AgentFileError, read_agents
from malha_planner.agents import Agent, Catalogue

PLANT = Path(__file__).parents[3] / "examples" / "plant" / "agents"
FREE = Principal(tenant="acme", tier=Tier.TIER_FREE)
SOUND = """
name: sound
version: "1"
description: does as it is told
prompt: be sound
"""
PREAUTHORISED = "preauthorised:\n- {name: fire, tool: stop, arguments: {}, max_uses: 1}"


def read(folder: Path, text: str) -> Agent:
    (folder / "one.yaml").write_text(text, encoding="utf-8")
    (agent,) = read_agents(folder, default_model="offline/extractive")
    return agent


def test_the_agents_that_ship_are_sound_and_each_may_call_what_it_says() -> None:
    catalogue = Catalogue(read_agents(SHIPPED, default_model="offline/extractive"), default="default")
    agents = {agent.name: agent for agent in catalogue.within_reach(FREE)}
    assert list(agents) == ["default", "docs", "gpu-price-analyst"]
    tools = [
        Tool(name="calculator", harmless=True),
        Tool(name="gpu_prices", harmless=True),
        Tool(name="search_knowledge", harmless=True),
        Tool(name="append_line"),
    ]
    offered = {name: [tool.name for tool in agent.offer(tools)] for name, agent in agents.items()}
    assert offered == {
        "default": ["calculator", "gpu_prices", "search_knowledge"],
        "docs": ["search_knowledge"],
        "gpu-price-analyst": ["calculator", "gpu_prices"],
    }


def test_what_a_file_leaves_out_is_the_house_default(tmp_path: Path) -> None:
    card = read(tmp_path, SOUND).card
    assert card.model == "offline/extractive"
    assert (card.limits.max_iterations, card.limits.max_cost_microusd) == (5, 500_000)
    assert card.limits.max_wall_time.seconds == 120
    assert (card.strategy, card.work_class, card.min_tier) == ("react", "interactive", Tier.TIER_FREE)


def test_what_is_declared_about_approvals_is_what_holds(tmp_path: Path) -> None:
    declared = """
tools: [stop, slow]
approvals: {risk: {slow: critical}, expires_seconds: 60, on_rejection: end_run, initiator_may_approve: never}
preauthorised:
- {name: fire, tool: stop, arguments: {required: [line]}, max_uses: 2, max_cost_microusd: 9}
"""
    policy = read(tmp_path, SOUND + declared).approvals
    assert policy.risk(Tool(name="slow", risk=Risk.RISK_HIGH)) == Risk.RISK_CRITICAL
    assert policy.risk(Tool(name="stop", risk=Risk.RISK_HIGH)) == Risk.RISK_HIGH
    assert (policy.expires_seconds, policy.rejection_ends_run) == (60, True)
    assert policy.initiator_may_approve < Risk.RISK_HIGH
    (fire,) = policy.preauthorisations
    assert fire.covers(Tool(name="stop", price_microusd=4), {"line": 1}, used=1)
    assert not fire.covers(Tool(name="stop", price_microusd=5), {"line": 1}, used=1)


def test_the_policys_version_changes_with_every_word_of_it_and_with_the_agents(tmp_path: Path) -> None:
    texts = [
        SOUND,
        SOUND.replace('version: "1"', 'version: "2"'),
        f"{SOUND}approvals: {{expires_seconds: 60}}\n",
        f"{SOUND}approvals: {{expires_seconds: 61}}\n",
        f"{SOUND}tools: [stop]\n{PREAUTHORISED}\n",
        f"{SOUND}tools: [stop]\n{PREAUTHORISED.replace('1', '2')}\n",
    ]
    versions = [read(tmp_path, text).approvals.version for text in texts]
    assert len(set(versions)) == len(texts)
    assert versions[0].startswith("sound/1/")
    assert read(tmp_path, f"{SOUND}approvals: {{expires_seconds: 86400}}\n").approvals.version == versions[0]


def test_the_example_of_a_plant_is_sound() -> None:
    (agent,) = read_agents(PLANT, default_model="m/m")
    stop = Tool(name="stop_line", risk=Risk.RISK_HIGH)
    (declared,) = agent.approvals.preauthorisations
    assert declared.covers(stop, {"line": 2, "reason": "It overheats"}, used=0)
    assert not declared.covers(stop, {"line": 3, "reason": "It overheats"}, used=0)
    assert not declared.covers(stop, {"line": 2, "reason": "lunch"}, used=0)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("limits: {max_iteration: 9}", "limits.max_iteration"),
        ("limits: {max_iterations: 0}", "limits.max_iterations"),
        ("limits: {max_iterations: yes}", "limits.max_iterations"),
        ("limits: {max_cost_microusd: '500'}", "limits.max_cost_microusd"),
        ("approvals: {expires_seconds: on}", "approvals.expires_seconds"),
        ("limits: {min_output_tokens: 2000}", "not above max_output_tokens"),
        ("tools: [Bad-Name]", "tools.0"),
        ("strategy: magic", "strategy"),
        ("work_class: nightly", "work_class"),
        ("min_tier: gold", "min_tier"),
        ("model: {provider: openai}", "model.name"),
        ("promt: typo", "promt"),
        ("tools: calculator", "tools"),
        ("name: [", "not YAML"),
        ("work_class: 2026-13-45", "not YAML: month"),
        ("a: " + "[" * 3000, "not YAML"),
        ("limits: {max_iterations: 3}\nlimits: {max_output_tokens: 9}", "'limits' stands twice"),
        ("limits: {max_iterations: 3, max_iterations: 9}", "'max_iterations' stands twice"),
        ("approvals: {risks: {}}", "approvals.risks"),
        ("tools: [stop]\napprovals: {risk: {stop: huge}}", "approvals.risk.stop"),
        ("tools: [stop]\napprovals: {risk: {stopp: high}}", "stopp: not among"),
        ("approvals: {on_rejection: shout}", "approvals.on_rejection"),
        ("approvals: {expires_seconds: 0}", "approvals.expires_seconds"),
        (PREAUTHORISED, "stop: not among"),
        (f"tools: [stop]\n{PREAUTHORISED}\n{PREAUTHORISED[15:]}", "same name"),
        (f"tools: [stop]\n{PREAUTHORISED.replace('{}', '{type: objekt}')}", "not a JSON Schema"),
        (f"tools: [stop]\n{PREAUTHORISED.replace('1', '0')}", "preauthorised.0.max_uses"),
    ],
)
def test_a_fault_stops_the_start_and_names_file_and_key(tmp_path: Path, fault: str, said: str) -> None:
    with pytest.raises(AgentFileError) as refused:
        read(tmp_path, f"{SOUND}{fault}\n")
    assert str(refused.value).startswith("one.yaml: ")
    assert said in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_an_empty_folder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(AgentFileError, match="no agent file"):
        read_agents(tmp_path, default_model="m/m")


def test_two_agents_of_one_name_or_a_missing_default_stop_the_start(tmp_path: Path) -> None:
    agent = read(tmp_path, SOUND)
    with pytest.raises(ValueError, match="sound"):
        Catalogue([agent, agent], default="sound")
    with pytest.raises(ValueError, match="none of sound"):
        Catalogue([agent], default="other")


def test_an_agent_above_the_callers_tier_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(
        SOUND.replace("name: sound", "name: dear") + "min_tier: pro\n", encoding="utf-8"
    )
    (tmp_path / "one.yaml").write_text(SOUND, encoding="utf-8")
    catalogue = Catalogue(read_agents(tmp_path, default_model="m/m"), default="sound")
    assert [agent.name for agent in catalogue.within_reach(Principal(tenant="acme"))] == ["sound"]
    with pytest.raises(MalhaError) as refused:
        catalogue.get("dear", FREE)
    assert refused.value.reason_name == "AGENT_NOT_FOUND"
    assert refused.value.metadata["agents"] == "sound"
    assert catalogue.get("dear", Principal(tenant="acme", tier=Tier.TIER_PRO)).name == "dear"
