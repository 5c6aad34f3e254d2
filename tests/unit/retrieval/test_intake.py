"""What is no text is refused with a reason that tells its sender what to do."""

from __future__ import annotations

import pytest

from malha.api.retrieval.v1.retrieval_pb2 import Document
from malha_retrieval.intake import LARGEST_BYTES, MOST_PASSAGES, Refused, chunk, fingerprint, read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"%PDF-1.7\0\0binary", "binary"),
        (b"caf\xe9", "UTF-8"),
        (b"x" * (LARGEST_BYTES + 1), "at most"),
    ],
)
def test_what_cannot_be_found_again_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(Document(name="x.md", content=content))


def test_a_document_of_too_many_passages_is_refused() -> None:
    text = "# Title\n\nword\n\n"
    assert len(chunk("x.md", text * MOST_PASSAGES)) == MOST_PASSAGES
    with pytest.raises(Refused, match="more than 20,000"):
        chunk("x.md", text * (MOST_PASSAGES + 1))


def test_exactly_five_megabytes_are_taken() -> None:
    assert len(read(Document(name="x.txt", content=b"x" * LARGEST_BYTES))) == LARGEST_BYTES


def test_text_and_bytes_of_a_document_are_the_same_document() -> None:
    as_text = Document(name="x", text="Olá")
    as_bytes = Document(name="x", content="Olá".encode())
    assert fingerprint(as_text, read(as_text)) == fingerprint(as_bytes, read(as_bytes))


def test_a_byte_order_mark_is_no_text() -> None:
    assert read(Document(name="x", content=b"\xef\xbb\xbf# Title")) == "# Title"


def test_other_metadata_is_another_document() -> None:
    one = Document(name="x", text="a", metadata={"k": "1"})
    other = Document(name="x", text="a", metadata={"k": "2"})
    assert fingerprint(one, "a") != fingerprint(other, "a")


def test_what_stands_in_metadata_is_not_taken_for_more_of_it() -> None:
    one = Document(name="x", text="a", metadata={"k": "1\0l\x002"})
    other = Document(name="x", text="a", metadata={"k": "1", "l": "2"})
    assert fingerprint(one, "a") != fingerprint(other, "a")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_every_system_ends_them(end: str) -> None:
    text = read(
        Document(name="x.md", text=end.join(["# Money", "", "It is held.", "", "## Cents", "", "Small."]))
    )
    assert [(c.section, text[c.start : c.end]) for c in chunk("x.md", text)] == [
        ("Money", "It is held."),
        ("Money > Cents", "Small."),
    ]


def test_a_document_of_headings_is_refused_before_its_passages_are_more_than_the_document() -> None:
    with pytest.raises(Refused, match="split it"):
        chunk("x.md", "".join(f"# {n}\n" for n in range(MOST_PASSAGES + 1)))
    assert len(chunk("x.md", "".join(f"# {n}\n" for n in range(MOST_PASSAGES)))) == MOST_PASSAGES
