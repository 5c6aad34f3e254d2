"""A text judged while it is written: what is let through is what the judgement of the whole lets through.

A part can be let through once nothing that may follow changes what becomes of it. Every form the
detectors know, but for a private key's block, ends with the line; within a line it is a word, or
digits with a few separators between. So only the last word and the last digits of a text are held back, and
whatever a mask reaches into. Lines are independent: what was let through up to a line's beginning is not
looked at again.
"""

from __future__ import annotations

import re
import string

from malha.api.guard.v1.guard_service_pb2 import Judgement, Stage
from malha_guard.judge import Mask, acted_on, judge, masked, masks_of, merged, over_length, protected
from malha_guard.policy import Policy
from malha_guard.reading import Reading

WORD = 520
"""Characters of an unfinished word that are held back at most: an e-mail address, the longest form that
is told only at its end, has 64 + 1 + 447. What may be a JSON Web Token is held back whatever its length."""
DIGITS = 80
"""Characters of unfinished digits that are held back at most: 19 digits with three separators between."""
_LONG = 4000
"""Characters under judgement above which they are judged only as they grow by half: the work stays linear."""

_SPACE = frozenset(" \t\n\r\f\v")
_IN_NUMBERS = frozenset(" .()+/-")
_BETWEEN_NUMBERS = frozenset(" .)/-")
_IN_TOKENS = string.ascii_letters + string.digits + "_.-"
_HEADER = 70
_KEY_HEADER = re.compile(r"-----BEGIN(?: [A-Z ]{0,51}-{0,4})?\Z")


class OutputFilter:
    """One text of the stage OUTPUT, added to as it is written.

    Attributes:
        length: characters added.
        blocked: the judgement, once the text must not go on.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rules = policy.stage(Stage.STAGE_OUTPUT)
        # an injected order is found by what stands around it, as far as a page: such a text is judged whole
        self._in_parts = "injection" not in self._rules.families
        self._parts: list[str] = []
        self.length = 0
        self._released: list[str] = []
        self._line = ""
        """The text from the beginning of the line up to which all is let through."""
        self._through = 0
        """How much of it is let through."""
        self._due = 0
        self.blocked: Judgement | None = None

    def add(self, text: str) -> str:
        """What may be shown now; nothing where ``blocked`` is set."""
        self._parts.append(text)
        self.length += len(text)
        self.blocked = over_length(self._policy, self._rules, self.length)
        if self.blocked is not None or not self._in_parts:
            return ""
        self._line += text
        if len(self._line) < self._due:
            return ""
        self._due = len(self._line) * 3 // 2 if len(self._line) > _LONG else 0
        return self._release()

    @property
    def shown(self) -> bool:
        """Whether anything was let through before the whole was there."""
        return any(self._released)

    @property
    def size(self) -> int:
        """Characters that the next ``add`` looks at again."""
        return len(self._line)

    def whole(self) -> Judgement:
        """The judgement of all that was added: to be asked for at the end."""
        return judge(self._policy, Stage.STAGE_OUTPUT, "".join(self._parts))

    def rest(self, judgement: Judgement) -> tuple[str, bool]:
        """What is still to be shown, and whether it takes the place of all that was."""
        released = "".join(self._released)
        if judgement.text.startswith(released):
            return judgement.text[len(released) :], False
        return judgement.text, True

    def _release(self) -> str:
        reading = Reading(self._line)
        findings = acted_on(self._rules, reading)
        settled = _settled(reading)
        read = reading.span(len(reading.plain) - 1, len(reading.plain))[1] if reading.plain else 0
        over = [finding for finding in findings if finding.end <= settled and finding.end < read]
        self.blocked = protected(self._policy, self._rules, over)
        if self.blocked is not None:
            return ""
        masks = merged(masks_of(self._rules, findings))
        spans = [(one.start, one.end) for one in findings] + [(one.start, one.end) for one in masks]
        for start, end in sorted(spans, reverse=True):
            if start < settled and (end > settled or end >= read):  # a key's block may go on after any line
                settled = start
        text = self._until(settled, masks) if settled > self._through else ""
        begun = self._line.rfind("\n", 0, self._through) + 1
        self._line = self._line[begun:]
        self._through -= begun
        return text

    def _until(self, settled: int, masks: list[Mask]) -> str:
        text = masked(self._line, masks, self._through, settled)
        self._through = settled
        self._released.append(text)
        return text


def _settled(reading: Reading) -> int:
    """Up to where in the written text no form can end that has not ended yet."""
    plain = reading.plain
    end = len(plain)
    word = end
    while word > max(0, end - WORD) and plain[word - 1] not in _SPACE:
        word -= 1
    digits = end
    while digits > max(0, end - DIGITS) and (plain[digits - 1] in _IN_NUMBERS or plain[digits - 1].isdigit()):
        digits -= 1
    while digits < end and plain[digits] in _BETWEEN_NUMBERS:
        digits += 1  # no number begins with these
    at = min(word, digits)
    token = len(plain.rstrip(_IN_TOKENS))
    if plain.startswith("eyJ", token):
        at = min(at, token)
    if (header := _KEY_HEADER.search(plain, max(0, end - _HEADER))) is not None:
        at = min(at, header.start())
    return reading.span(at, at + 1)[0] if at < end else len(reading.written)
