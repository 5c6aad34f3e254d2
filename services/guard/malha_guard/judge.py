"""A judgement is made in three moves: read the text, collect findings, let the policy act on them.

The strictest action decides. A block withholds the whole text; a mask replaces the parts and keeps the
rest; what is said about it names rules, never words of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def judge(policy: Policy, stage: Stage, text: str) -> Judgement:
    """What may be done with ``text`` at ``stage``.

    An empty text is allowed. The work grows linearly with the text.
    """
    rules = policy.stage(stage)
    if rules.max_chars and len(text) > rules.max_chars and rules.action(LENGTH) == Action.ACTION_BLOCK:
        says = [f"it is longer than {rules.max_chars} characters"]
        return _blocked(policy, rules, [LENGTH], says)
    reading = Reading(text)
    tried = _attempts(policy, rules, stage, reading)
    acted = [attempt for attempt in tried if attempt.weight >= rules.act_at]
    blocking = [a for a in acted if any(rules.action(r.id) == Action.ACTION_BLOCK for r in a.rules)]
    if blocking:
        hit = dict.fromkeys(rule for attempt in blocking for rule in attempt.rules)
        strongest = max(rule.weight for rule in hit)
        return _blocked(policy, rules, [r.id for r in hit], [r.says for r in hit if r.weight == strongest])

    findings = [f for f in _findings(rules, reading) if rules.action(f.rule) != Action.ACTION_ALLOW]
    if any(rules.action(f.rule) == Action.ACTION_BLOCK for f in findings):
        names = list(dict.fromkeys(f.rule for f in findings if rules.action(f.rule) == Action.ACTION_BLOCK))
        return _blocked(policy, rules, names, [f"it holds what rule {name} protects" for name in names])

    masks = [(f.start, f.end, _label(f.rule)) for f in findings if rules.action(f.rule) == Action.ACTION_MASK]
    for attempt in acted:
        if any(rules.action(r.id) == Action.ACTION_MASK for r in attempt.rules):
            masks += [(*passage(text, *span), WITHHELD) for span in attempt.spans]
    names = list(dict.fromkeys([*(r.id for a in tried for r in a.rules), *(f.rule for f in findings)]))
    action = Action.ACTION_MASK if masks else Action.ACTION_FLAG if names else Action.ACTION_ALLOW
    verdict = Verdict(action=action, rules=names, policy=policy.version)
    return Judgement(verdict=verdict, text=_masked(text, masks))


def _attempts(policy: Policy, rules: StagePolicy, stage: Stage, reading: Reading) -> Sequence[Attempt]:
    if "injection" not in rules.families:
        return ()
    hits = [hit for hit in policy.rulebook.hits(reading) if rules.action(hit.rule.id) != Action.ACTION_ALLOW]
    in_results = stage == Stage.STAGE_TOOL_RESULT
    return [a for a in attempts(hits, in_results=in_results) if a.weight >= rules.flag_at]


def _findings(rules: StagePolicy, reading: Reading) -> Iterator[Finding]:
    if "secret" in rules.families:
        yield from find_credentials(reading)
    if "pii" in rules.families:
        yield from find_identifiers(reading)
        yield from find_contacts(reading)


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


def _masked(text: str, masks: list[tuple[int, int, str]]) -> str:
    """Each span replaced by its label; where spans overlap, all of them by the widest one's label."""
    if not masks:
        return text
    masks.sort()
    parts: list[str] = []
    done = 0
    start, end, label, width = *masks[0], masks[0][1] - masks[0][0]
    for mask_start, mask_end, mask_label in [*masks[1:], (len(text) + 1, 0, "")]:
        if mask_start < end:
            end = max(end, mask_end)
            if mask_end - mask_start > width:
                label, width = mask_label, mask_end - mask_start
            continue
        parts += (text[done:start], label)
        done, start, end, label, width = end, mask_start, mask_end, mask_label, mask_end - mask_start
    return "".join((*parts, text[done:]))
