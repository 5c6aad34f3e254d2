"""Policies from YAML files, read and checked once, at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from malha_guard.injection import Rulebook
from malha_guard.phrases import PhraseError
from malha_guard.policy import Policy, PolicyError

BUNDLED = Path(__file__).parent.parent / "policies" / "default.yaml"


class PolicyFile:
    """One policy for everyone, from one file and the rules it names."""

    def __init__(self, path: Path = BUNDLED) -> None:
        """Read ``path`` and, beside it, its ``injection_rules``.

        Raises:
            PolicyError: a file cannot be read, or something in it is wrong; says which and where.
        """
        self.policy = _load(path)

    def policy_for(self, tenant: str, agent: str) -> Policy:  # noqa: ARG002  # policies per tenant come later
        return self.policy


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice in one place: YAML takes the last, and what the first said is lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        row = super().construct_mapping(node, deep)
        if len(row) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return row


def _parsed(text: bytes) -> Any:
    return yaml.load(text, _Strict)  # noqa: S506  # a safe loader, and stricter


def _load(path: Path) -> Policy:
    try:
        text = path.read_bytes()
        document = _parsed(text)
        if not isinstance(document, dict) or "injection_rules" not in document:
            raise PolicyError("a policy names its injection_rules")
        rules = (path.parent / str(document["injection_rules"])).read_bytes()
        return Policy(document, Rulebook(_parsed(rules)), source=text + b"\0" + rules)
    except (OSError, yaml.YAMLError, PhraseError, PolicyError) as error:
        raise PolicyError(f"policy {path.name}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise PolicyError(f"policy {path.name}: its injection rules lack a part: {error!r}") from error
