"""A judgement is made in three moves: read the text, collect findings, let the policy act on them.

The strictest action decides. A block withholds the whole text; a mask replaces the parts and keeps the
rest; what is said about it names rules, never words of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from malha.api.guard.v1.guard_service_pb2 import Judgement, Stage
from malha.api.run.v1.record_pb2 import Action, Verdict
from malha_guard.contacts import find_contacts
from malha_guard.credentials import find_credentials
from malha_guard.finding import Finding
from malha_guard.identifiers import find_identifiers
from malha_guard.injection import Attempt, attempts, passage
from malha_guard.policy import LENGTH, Policy, StagePolicy
from malha_guard.reading import Reading

WITHHELD = "[withheld: possible injected instruction]"


class Mask(NamedTuple):
    """A part of a text to be replaced by a label; offsets as a finding's."""

    start: int
    end: int
    label: str


def judge(policy: Policy, stage: Stage, text: str) -> Judgement:
    """What may be done with ``text`` at ``stage``.

    An empty text is allowed. The work grows linearly with the text.
    """
    rules = policy.stage(stage)
    if (too_long := over_length(policy, rules, len(text))) is not None:
        return too_long
    reading = Reading(text)
    tried = _attempts(policy, rules, stage, reading)
    acted = [attempt for attempt in tried if attempt.weight >= rules.act_at]
    blocking = [a for a in acted if any(rules.action(r.id) == Action.ACTION_BLOCK for r in a.rules)]
    if blocking:
        hit = dict.fromkeys(rule for attempt in blocking for rule in attempt.rules)
        strongest = max(rule.weight for rule in hit)
        return _blocked(policy, rules, [r.id for r in hit], [r.says for r in hit if r.weight == strongest])

    findings = acted_on(rules, reading)
    if (withheld := protected(policy, rules, findings)) is not None:
        return withheld

    masks = masks_of(rules, findings)
    for attempt in acted:
        if any(rules.action(r.id) == Action.ACTION_MASK for r in attempt.rules):
            masks += [Mask(*passage(text, *span), WITHHELD) for span in attempt.spans]
    names = list(dict.fromkeys([*(r.id for a in tried for r in a.rules), *(f.rule for f in findings)]))
    action = Action.ACTION_MASK if masks else Action.ACTION_FLAG if names else Action.ACTION_ALLOW
    verdict = Verdict(action=action, rules=names, policy=policy.version)
    return Judgement(verdict=verdict, text=masked(text, merged(masks), 0, len(text)))


def _attempts(policy: Policy, rules: StagePolicy, stage: Stage, reading: Reading) -> Sequence[Attempt]:
    if "injection" not in rules.families:
        return ()
    hits = [hit for hit in policy.rulebook.hits(reading) if rules.action(hit.rule.id) != Action.ACTION_ALLOW]
    in_results = stage == Stage.STAGE_TOOL_RESULT
    return [a for a in attempts(hits, in_results=in_results) if a.weight >= rules.flag_at]


def over_length(policy: Policy, rules: StagePolicy, characters: int) -> Judgement | None:
    """The block of a text that is too long for its stage; None for any other."""
    if rules.max_chars and characters > rules.max_chars and rules.action(LENGTH) == Action.ACTION_BLOCK:
        says = [f"it is longer than {rules.max_chars} characters"]
        return _blocked(policy, rules, [LENGTH], says)
    return None


def acted_on(rules: StagePolicy, reading: Reading) -> list[Finding]:
    """The secrets and personal data that the policy does anything about."""
    return [f for f in _findings(rules, reading) if rules.action(f.rule) != Action.ACTION_ALLOW]


def protected(policy: Policy, rules: StagePolicy, findings: Sequence[Finding]) -> Judgement | None:
    """The block of a text that holds what must not be passed on at all; None for any other."""
    names = list(dict.fromkeys(f.rule for f in findings if rules.action(f.rule) == Action.ACTION_BLOCK))
    if not names:
        return None
    return _blocked(policy, rules, names, [f"it holds what rule {name} protects" for name in names])


def masks_of(rules: StagePolicy, findings: Sequence[Finding]) -> list[Mask]:
    """What the findings have replaced."""
    return [
        Mask(f.start, f.end, _label(f.rule)) for f in findings if rules.action(f.rule) == Action.ACTION_MASK
    ]


def _blocked(policy: Policy, rules: StagePolicy, names: Sequence[str], says: Sequence[str]) -> Judgement:
    reasons = "; ".join(dict.fromkeys(says))
    return Judgement(
        verdict=Verdict(action=Action.ACTION_BLOCK, rules=names, policy=policy.version),
        text=rules.replacement,
        message=f"the text was refused by policy: {reasons} (rules {', '.join(names)})",
    )


def _label(rule: str) -> str:
    family, _, name = rule.partition(".")
    return "[SECRET]" if family == "secret" else f"[{name.upper()}]"


def merged(masks: Sequence[Mask]) -> list[Mask]:
    """The masks in order; where some overlap, one over all of them, with the widest one's label."""
    together: list[Mask] = []
    width = 0
    for mask in sorted(masks):
        if together and mask.start < together[-1].end:
            start, end, label = together[-1]
            if mask.end - mask.start > width:
                label, width = mask.label, mask.end - mask.start
            together[-1] = Mask(start, max(end, mask.end), label)
        else:
            together.append(mask)
            width = mask.end - mask.start
    return together


def masked(text: str, masks: Sequence[Mask], start: int, end: int) -> str:
    """``text[start:end]`` with what the merged masks cover of it replaced by their labels."""
    parts: list[str] = []
    for mask in masks:
        if mask.start < end and mask.end > start:
            parts += (text[start : max(start, mask.start)], mask.label)
            start = mask.end
    return "".join((*parts, text[start:end]))


def _findings(rules: StagePolicy, reading: Reading) -> Iterator[Finding]:
    if "secret" in rules.families:
        yield from find_credentials(reading)
    if "pii" in rules.families:
        yield from find_identifiers(reading)
        yield from find_contacts(reading)
