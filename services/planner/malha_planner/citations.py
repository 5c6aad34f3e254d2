"""Which passages an answer stands on.

A search gives each passage a marker such as [1]; an answer cites by repeating it. Two searches both
count from [1], so passages are numbered anew over the whole run before a model sees them: one
marker, one passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from malha.api.run.v1.chat_pb2 import Citation

_MARKER = re.compile(r"\[\d{1,3}\]")


def cited(text: str, passages: Sequence[Citation]) -> list[Citation]:
    """Those of the passages whose marker stands in the text, in the order of their first mention."""
    by_marker = {passage.marker: passage for passage in passages}
    mentioned = dict.fromkeys(_MARKER.findall(text))
    return [by_marker[marker] for marker in mentioned if marker in by_marker]


def renumber(text: str, passages: Sequence[Citation], *, after: int) -> tuple[str, list[Citation]]:
    """The text and passages of one result with markers counted on from `after`.

    Markers in the text that no passage carries are left alone.
    """
    new = {passage.marker: f"[{after + place}]" for place, passage in enumerate(passages, 1)}
    renamed = []
    for passage in passages:
        copy = Citation()
        copy.CopyFrom(passage)
        copy.marker = new[passage.marker]
        renamed.append(copy)
    return _MARKER.sub(lambda found: new.get(found[0], found[0]), text), renamed
