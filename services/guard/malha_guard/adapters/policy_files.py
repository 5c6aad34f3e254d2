"""Policies from YAML files, read and checked once, at the start."""

from __future__ import annotations

from pathlib import Path

from malha import strict_yaml
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


def _load(path: Path) -> Policy:
    try:
        text = path.read_bytes()
        document = strict_yaml.parse(text)
        if not isinstance(document, dict) or "injection_rules" not in document:
            raise PolicyError("a policy names its injection_rules")
        rules = (path.parent / str(document["injection_rules"])).read_bytes()
        return Policy(document, Rulebook(strict_yaml.parse(rules)), source=text + b"\0" + rules)
    except (OSError, strict_yaml.NotYamlError, PhraseError, PolicyError) as error:
        raise PolicyError(f"policy {path.name}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise PolicyError(f"policy {path.name}: its injection rules lack a part: {error!r}") from error
