"""A policy says what is done about a finding, stage by stage, and has a version.

Detection finds, policy decides. A policy is read once, checked whole, and never changes: its version
is its name with a hash over everything it was made of, so that a verdict stays explainable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from typing import Any

from malha.api.guard.v1.guard_service_pb2 import Stage
from malha.api.run.v1.record_pb2 import Action
from malha.errors import ConfigurationError
from malha_guard.contacts import CONTACT_RULES
from malha_guard.credentials import CREDENTIAL_RULES
from malha_guard.identifiers import IDENTIFIER_RULES
from malha_guard.injection import Rulebook

LENGTH = "length"
_STAGES = {"input": Stage.STAGE_INPUT, "tool_result": Stage.STAGE_TOOL_RESULT, "output": Stage.STAGE_OUTPUT}
_ACTIONS = {
    "allow": Action.ACTION_ALLOW,
    "flag": Action.ACTION_FLAG,
    "mask": Action.ACTION_MASK,
    "block": Action.ACTION_BLOCK,
}
_PARTS = frozenset({"name", "injection_rules", "stages"})
_FIELDS = frozenset({"max_chars", "injection", "actions", "replacement"})
_WEIGHTS = frozenset({"act_at", "flag_at"})


class PolicyError(ConfigurationError):
    """A policy that cannot be used; the text says where it is wrong."""


class StagePolicy:
    """What holds at one stage.

    Attributes:
        max_chars: longest text in characters; 0 means any length.
        act_at: weight at which an injection is acted upon.
        flag_at: weight from which it is mentioned.
        replacement: text in place of a blocked one.
    """

    def __init__(self, name: str, row: Mapping[str, Any], rules: frozenset[str]) -> None:
        weights = row.get("injection", {})
        refuse_unknown(f"stages.{name}", row, _FIELDS)
        refuse_unknown(f"stages.{name}.injection", weights, _WEIGHTS)
        try:
            self.max_chars = int(row.get("max_chars", 0))
            self.act_at = float(weights.get("act_at", 1.0))
            self.flag_at = float(weights.get("flag_at", self.act_at))
        except (TypeError, ValueError, OverflowError):
            raise PolicyError(f"stages.{name}: max_chars, act_at and flag_at are numbers") from None
        self.replacement = str(row.get("replacement", ""))
        if self.max_chars < 0 or not 0 < self.flag_at <= self.act_at:
            raise PolicyError(f"stages.{name}: max_chars is not negative, and 0 < flag_at <= act_at")
        keys = {str(key): _action(name, str(key), value) for key, value in row.get("actions", {}).items()}
        for key in keys:
            if not any(rule == key or rule.startswith(key + ".") for rule in rules):
                raise PolicyError(f"stages.{name}.actions: no rule or family {key!r}")
        if keys.get(LENGTH) in {Action.ACTION_FLAG, Action.ACTION_MASK}:
            raise PolicyError(f"stages.{name}.actions.length: block or allow")
        self._actions = {rule: _longest(keys, rule) for rule in rules}
        self.families = frozenset(
            rule.split(".")[0] for rule, action in self._actions.items() if action != Action.ACTION_ALLOW
        )

    def action(self, rule: str) -> Action:
        """What is done about ``rule``."""
        return self._actions[rule]


class Policy:
    """A whole policy; ``version`` is ``name@hash``."""

    def __init__(self, document: Mapping[str, Any], rulebook: Rulebook, *, source: bytes) -> None:
        """Read a parsed policy file.

        Args:
            document: the parsed file.
            rulebook: the injection rules it names.
            source: the bytes of all files it was made of, for the version.

        Raises:
            PolicyError: it is not whole, or names what does not exist.
        """
        self.rulebook = rulebook
        self.rules = frozenset(
            {LENGTH, *IDENTIFIER_RULES, *CONTACT_RULES, *CREDENTIAL_RULES, *(r.id for r in rulebook.rules)}
        )
        try:
            refuse_unknown("the policy", document, _PARTS)
            refuse_unknown("stages", document["stages"], _STAGES.keys())
            self.version = f"{document['name']}@{hashlib.sha256(source).hexdigest()[:12]}"
            stages = document["stages"]
            self._stages = {
                stage: StagePolicy(name, stages[name], self.rules) for name, stage in _STAGES.items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"a policy has a name and the stages {', '.join(_STAGES)}: {error}") from error

    def stage(self, stage: Stage) -> StagePolicy:
        """What holds at a stage."""
        return self._stages[stage]


def refuse_unknown(where: str, row: Mapping[str, Any], known: Set[str]) -> None:
    """Raise PolicyError for a key that nothing reads: what it was meant to say would not hold."""
    if unknown := sorted(map(str, row.keys() - known)):
        raise PolicyError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _action(stage: str, key: str, value: object) -> Action:
    try:
        return _ACTIONS[str(value)]
    except KeyError:
        raise PolicyError(
            f"stages.{stage}.actions.{key}: {value!r} is none of {', '.join(_ACTIONS)}"
        ) from None


def _longest(keys: Mapping[str, Action], rule: str) -> Action:
    while rule not in keys:
        rule, dot, _ = rule.rpartition(".")
        if not dot:
            return Action.ACTION_ALLOW
    return keys[rule]
