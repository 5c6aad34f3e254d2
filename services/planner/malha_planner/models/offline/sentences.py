"""Markdown cut into sentences that can be quoted: prose by its stops, lists and tables by their lines."""

import re
from dataclasses import dataclass

_STOP = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[*_`]*[A-ZÀ-Ý0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|nr|fig|sec|dr|dra|sr|sra|mr|mrs|prof|p\.ex|ex|art|av)|\b[A-Z])\.$",
    re.I,
)
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s")
_RULE = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A quotable piece of a text. An item carries the line that introduces its list."""

    text: str
    place: int
    lead: str = ""

    @property
    def is_item(self) -> bool:
        return bool(self.lead)


def sentences(text: str) -> list[Sentence]:
    """The sentences of a Markdown text, in order, without headings."""
    found: list[Sentence] = []
    for block in _blocks(text):
        if block[0].lstrip().startswith("|"):
            rows = _rows(block)
            found += [Sentence(row, len(found) + i, lead="|") for i, row in enumerate(rows)]
        elif block[0].lstrip().startswith("```"):
            found.append(Sentence("\n".join(block), len(found)))
        elif _BULLET.match(block[0]):
            lead = found[-1].text if found and found[-1].text.endswith(":") else "-"
            found.append(Sentence(_joined(block), len(found), lead=lead))
        else:
            for piece in _split(_joined(block)):
                found.append(Sentence(piece, len(found)))
    return found


def _blocks(text: str) -> list[list[str]]:
    """Lines that belong together: a paragraph, a list item, a table, a fenced block."""
    blocks: list[list[str]] = []
    fresh, fenced = True, False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        if fenced:
            blocks[-1].append(line)
            fenced, fresh = not fence, fence
        elif not line.strip() or _HEADING.match(line):
            fresh = True
        elif fence:
            blocks.append([line])
            fenced = True
        else:
            table = line.lstrip().startswith("|")
            in_table = bool(blocks) and not fresh and blocks[-1][0].lstrip().startswith("|")
            if fresh or _BULLET.match(line) or table != in_table:
                blocks.append([line])
            else:
                blocks[-1].append(line)
            fresh = False
    return blocks


def _joined(block: list[str]) -> str:
    return re.sub(r"\s+", " ", _BULLET.sub("", " ".join(block))).strip()


def _split(paragraph: str) -> list[str]:
    pieces: list[str] = []
    for piece in _STOP.split(paragraph):
        if pieces and _ABBREVIATION.search(pieces[-1]):
            pieces[-1] += " " + piece
        elif piece.strip():
            pieces.append(piece.strip())
    return pieces


def _rows(block: list[str]) -> list[str]:
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in block
        if not _RULE.match(line)
    ]
    if len(cells) < 2:
        return [", ".join(row) for row in cells]
    head = cells[0]
    return [
        "; ".join(f"{name}: {cell}" if name else cell for name, cell in zip(head, row, strict=False))
        for row in cells[1:]
    ]
