"""A text is judged by how it reads, not by how it is spelled in bytes.

Attackers write the same words with zero-width joints, letters of other alphabets that look alike,
full-width forms, combining marks or invisible tag characters. A :class:`Reading` folds all of them to
what a reader (or a model) takes them for, and remembers where each character came from, so that a
finding can be masked in the text as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

# Letters that cannot be told from Latin ones: pairs of lookalike and Latin letter.
_LOOKALIKES = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅԁаеорсухіјѕһӏԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορυιıɡɑℓ’‘‛´“”«»–—‐‑‒−․·•∕⁄",
        "ABEKMHOPCTYXIJSdaeopcyxijshlqwABEZHIKMNOPTYXavopuiigal''''\"\"\"\"------...//",
        strict=True,
    )
)
_LOOKALIKES.update(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))
for first in (0x1F150, 0x1F170):  # white letters on black, round and square
    _LOOKALIKES.update((chr(first + at), chr(ord("A") + at)) for at in range(26))
# Above this many distinct characters nothing more is remembered: hostile text must not fill memory.
_REMEMBERED = 20_000


class _Folding(dict[int, str]):
    """What each code point reads as; worked out at first sight (for ``str.translate``)."""

    def __missing__(self, code: int) -> str:
        read = _read(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = read
        return read


def _read(character: str) -> str:
    if 0xE0020 <= ord(character) <= 0xE007E:
        return chr(ord(character) - 0xE0000)  # tag characters: ASCII that no screen shows but models read
    if character in _LOOKALIKES:
        return _LOOKALIKES[character]
    category = unicodedata.category(character)
    if category in {"Cf", "Mn", "Me"}:
        return ""  # joints, direction marks, soft hyphens, combining accents
    if category in {"Zl", "Zp"}:
        return "\n"
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    parts = (c for c in unicodedata.normalize("NFKD", character) if unicodedata.category(c) != "Mn")
    return "".join(_LOOKALIKES.get(c, c) for c in parts)


_FOLDING = _Folding((code, chr(code)) for code in range(128))


# Most of a Portuguese text is ASCII: folding only the rest takes a third of the time.
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _fold(match: re.Match[str]) -> str:
    return match.group().translate(_FOLDING)


class Reading:
    """One text as it reads.

    Attributes:
        written: the text as it came.
        plain: the same with every disguise folded; the case is kept, because keys depend on it.
    """

    __slots__ = ("__dict__", "plain", "written")

    def __init__(self, written: str) -> None:
        self.written = written
        self.plain = written if written.isascii() else _BEYOND_ASCII.sub(_fold, written)

    @cached_property
    def lower(self) -> str:
        """``plain`` in lower case; offsets are the same."""
        lowered = self.plain.lower()
        # a few capitals grow in lower case, which would shift every offset after them
        return (
            lowered
            if len(lowered) == len(self.plain)
            else "".join(c.lower() if len(c.lower()) == 1 else c for c in self.plain)
        )

    @cached_property
    def _origins(self) -> list[int]:
        origins = [at for at, c in enumerate(self.written) for _ in _FOLDING[ord(c)]]
        return [*origins, len(self.written)]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``plain[start:end]`` (not empty) stands in ``written``."""
        if self.plain is self.written:
            return start, end
        return self._origins[start], self._origins[end - 1] + 1
