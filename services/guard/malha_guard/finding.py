"""A finding says which rule matched where; what is done about it is the policy's business."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """A rule that matched.

    ``rule`` is a dotted id whose first part is the family ("pii.cpf"); ``start`` and ``end`` are
    character offsets in the text as written, ``end`` excluded.
    """

    rule: str
    start: int
    end: int
