"""A policy is whole or refused, has a version, and its actions decide."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from malha.api.guard.v1.guard_service_pb2 import Stage
from malha.api.run.v1.record_pb2 import Action
from malha_guard.adapters.policy_files import BUNDLED, PolicyFile
from malha_guard.judge import judge
from malha_guard.policy import Policy, PolicyError

RULES = (BUNDLED.parent / "injection.yaml").read_text(encoding="utf-8")
TWICE = BUNDLED.read_text(encoding="utf-8").replace(
    "    replacement:", "    actions: {length: block}\n    replacement:"
)
CARD = "4111 1111 1111 1111"


def written(folder: Path, **stages: dict[str, object]) -> Policy:
    document = yaml.safe_load(BUNDLED.read_text(encoding="utf-8"))
    for name, row in stages.items():
        document["stages"][name].update(row)
    (folder / "policy.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / "injection.yaml").write_bytes((BUNDLED.parent / "injection.yaml").read_bytes())
    return PolicyFile(folder / "policy.yaml").policy


def test_a_version_names_policy_and_content(tmp_path: Path) -> None:
    first = written(tmp_path)
    assert first.version.startswith("default@")
    assert written(tmp_path).version == first.version
    assert written(tmp_path, input={"max_chars": 10}).version != first.version
    rules = tmp_path / "injection.yaml"
    rules.write_text(rules.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert PolicyFile(tmp_path / "policy.yaml").policy.version not in {first.version}


@pytest.mark.parametrize(
    ("action", "verdict", "text"),
    [
        ("allow", Action.ACTION_ALLOW, f"pay with {CARD}"),
        ("flag", Action.ACTION_FLAG, f"pay with {CARD}"),
        ("mask", Action.ACTION_MASK, "pay with [CARD]"),
        ("block", Action.ACTION_BLOCK, "gone"),
    ],
)
def test_the_action_of_a_rule_decides(tmp_path: Path, action: str, verdict: int, text: str) -> None:
    policy = written(tmp_path, output={"actions": {"pii.card": action}, "replacement": "gone"})
    judgement = judge(policy, Stage.STAGE_OUTPUT, f"pay with {CARD}")
    assert (judgement.verdict.action, judgement.text) == (verdict, text)
    assert list(judgement.verdict.rules) == ([] if action == "allow" else ["pii.card"])
    assert judgement.verdict.policy == policy.version
    assert CARD not in judgement.message


def test_a_rule_goes_before_its_family(tmp_path: Path) -> None:
    policy = written(tmp_path, output={"actions": {"pii": "mask", "pii.email": "allow"}})
    judgement = judge(policy, Stage.STAGE_OUTPUT, f"a@example.com, {CARD}")
    assert judgement.text == "a@example.com, [CARD]"


def test_a_block_outweighs_a_mask(tmp_path: Path) -> None:
    policy = written(tmp_path, output={"actions": {"pii": "mask", "secret": "block"}, "replacement": "gone"})
    assert judge(policy, Stage.STAGE_OUTPUT, f"{CARD} password=hunter2").text == "gone"


@pytest.mark.parametrize(
    ("stage", "row"),
    [
        ("input", {"actions": {"pii.cfp": "mask"}}),
        ("input", {"actions": {"pii": "hide"}}),
        ("input", {"actions": {"length": "flag"}}),
        ("input", {"maximum": 3}),
        ("input", {"max_chars": -1}),
        ("input", {"max_chars": "many"}),
        ("input", {"max_chars": float("inf")}),
        ("input", {"injection": {"act_at": 0.5, "flag_at": 1}}),
        ("input", {"injection": {"act_at": "low"}}),
        ("input", {"injection": {"acts_at": 0.5}}),
    ],
)
def test_a_policy_with_a_mistake_is_refused(tmp_path: Path, stage: str, row: dict[str, object]) -> None:
    with pytest.raises(PolicyError, match=r"stages\.input"):
        written(tmp_path, **{stage: row})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        BUNDLED.read_text(encoding="utf-8") + "replacment: x\n",
        TWICE,
        "name: x",
        "injection_rules: injection.yaml",
        "{",
        "injection_rules: no.yaml",
    ],
)
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, text: str) -> None:
    written(tmp_path)
    (tmp_path / "policy.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"policy policy\.yaml"):
        PolicyFile(tmp_path / "policy.yaml")


@pytest.mark.parametrize(
    "broken",
    [
        RULES.replace("in_results:", "in_result:", 1),
        RULES.replace("weight: 1.0", "weight: all", 1),
        "lists: {}",
        "- 1",
        "lists: {A: 'x('}\nrules: {}\nseams: {weight: 1, marks: [], says: x}",
    ],
)
def test_broken_injection_rules_are_refused(tmp_path: Path, broken: str) -> None:
    written(tmp_path)
    (tmp_path / "injection.yaml").write_text(broken, encoding="utf-8")
    with pytest.raises(PolicyError):
        PolicyFile(tmp_path / "policy.yaml")


def test_the_longest_input_is_the_policys_and_counts_characters() -> None:
    policy = PolicyFile().policy
    assert judge(policy, Stage.STAGE_INPUT, "é" * 2000).verdict.action == Action.ACTION_ALLOW
    judgement = judge(policy, Stage.STAGE_INPUT, "é" * 2001)
    assert judgement.verdict.action == Action.ACTION_BLOCK
    assert list(judgement.verdict.rules) == ["length"]
    assert "longer than 2000 characters" in judgement.message


def test_an_empty_text_is_allowed() -> None:
    judgement = judge(PolicyFile().policy, Stage.STAGE_OUTPUT, "")
    assert (judgement.verdict.action, judgement.text) == (Action.ACTION_ALLOW, "")
