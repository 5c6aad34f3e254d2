"""One task in a caller's words, analysed once and then read by whoever chooses and fills."""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

from malha_planner.models.offline.arithmetic import expression
from malha_planner.models.offline.language import is_portuguese
from malha_planner.models.offline.lexicon import EXPLAINING
from malha_planner.models.offline.mentions import Mention, mentions
from malha_planner.models.offline.quantities import Quantity, quantities
from malha_planner.models.offline.stems import fold
from malha_planner.models.offline.words import Word, words

_MEASURE = re.compile(r"\b(?:how|quanto|quanta) (long|often|soon|tempo|late)\b")
_MOST_VALUES = 50
"""Numbers, and mentions, that are looked at; who lists more wants something else than a tool call."""
_RULE = re.compile(
    r"\b(?:must|should|may (?:i|we|one)|can (?:i|we|one)|allowed|permitted|forbidden|supposed to|"
    r"dev[eo]m?|devemos|poss[oa]|podemos|permitid[oa]s?|proibid[oa]s?|obrigatori[oa]s?)\b"
)


@dataclass(frozen=True)
class Request:
    """A task: the text that says it, and the language its answer is owed in."""

    text: str
    portuguese: bool

    @classmethod
    def of(cls, text: str) -> "Request":
        return cls(text.strip(), is_portuguese(text))

    @cached_property
    def words(self) -> tuple[Word, ...]:
        return words(self.text)

    @cached_property
    def content(self) -> list[Word]:
        """Its content words, without those inside numbers and the measure asked for ("how long")."""
        counted = {at for quantity in self.quantities for at in range(quantity.start, quantity.end)}
        measured = {at for match in _MEASURE.finditer(fold(self.text)) for at in match.span(1)}
        return [
            word
            for word in self.words
            if word.is_content and word.end not in measured and word.start not in counted
        ]

    @cached_property
    def numerals(self) -> list[Word]:
        """Its numbers that are written as words."""
        starts = {quantity.start for quantity in self.quantities if not quantity.written}
        return [word for word in self.words if word.start in starts]

    @property
    def is_lower(self) -> bool:
        """Whether its writer does without capitals, so that names look like other words."""
        return self.text == self.text.lower()

    @cached_property
    def mentions(self) -> list[Mention]:
        return mentions(self.text)[:_MOST_VALUES]

    @cached_property
    def quantities(self) -> list[Quantity]:
        """Its numbers, those inside dates, identifiers and quotations left out."""
        taken = {at for m in self.mentions if m.kind != "name" for at in range(m.start, m.end)}
        found = quantities(self.text, portuguese=self.portuguese)
        return [q for q in found if q.start not in taken][:_MOST_VALUES]

    @cached_property
    def claimed(self) -> frozenset[int]:
        """The offsets that numbers and mentions take up."""
        spans = [(m.start, m.end) for m in self.mentions] + [(q.start, q.end) for q in self.quantities]
        return frozenset(at for span in spans for at in range(*span))

    @cached_property
    def expression(self) -> str | None:
        """The arithmetic it holds, if any."""
        return expression(self.text, portuguese=self.portuguese)

    @cached_property
    def asks_to_explain(self) -> bool:
        """Whether it asks how things are, rather than for something to be done or looked up."""
        opening = re.sub(r"^[\W_]+", "", fold(self.text))
        opening = re.sub(r"^(?:and|but|e|mas|so|entao|please|por favor|hi|hello|ola|oi)[\s,!]+", "", opening)
        return opening.startswith(EXPLAINING)

    @cached_property
    def asks_for_a_rule(self) -> bool:
        """Whether it asks what is allowed or due; such answers stand in documents."""
        return _RULE.search(fold(self.text)) is not None

    def before(self, offset: int, count: int) -> list[Word]:
        """Up to `count` words that end before an offset, nearest first."""
        last = bisect_right(self.words, offset, key=lambda word: word.end)
        return list(reversed(self.words[max(0, last - count) : last]))

    def after(self, offset: int, count: int) -> list[Word]:
        """Up to `count` words that start at or after an offset, nearest first."""
        first = bisect_left(self.words, offset, key=lambda word: word.start)
        return list(self.words[first : first + count])
