"""The files of a folder: one that cannot be sent is refused with the reason, and stops no other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome
from malha.cli import documents
from malha.client import ErrorReason, MalhaError
from malha.errors import unavailable


def test_files_that_cannot_be_sent_are_refused_by_name_and_the_others_are_sent(tmp_path: Path) -> None:
    folder = tmp_path / "textos"
    folder.mkdir()
    (folder / "devolução.md").write_text("Sapatos são aceitos em 45 dias.", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(folder) + b"/ol\xe1.md")).write_text("ok", encoding="utf-8")
    (folder / "gone.md").touch()
    with (folder / "huge.md").open("wb") as huge:
        huge.truncate(5 * 1024 * 1024 + 1)
    deep = folder.joinpath("d" * 200, "d" * 200, "d" * 200)
    deep.mkdir(parents=True)
    (deep / "deep.md").write_text("ok", encoding="utf-8")
    files = documents.found(folder)
    (folder / "gone.md").unlink()
    refused: dict[str, str] = {}
    sent = [one.name for batch in documents.batches(files, refused.__setitem__) for one in batch]
    assert sent == ["textos/devolução.md"]
    assert refused == {
        f"textos/{'d' * 200}/{'d' * 200}/{'d' * 200}/deep.md": (
            "its path has 617 characters; at most 512 are accepted: shorten it"
        ),
        "textos/gone.md": "it cannot be read (No such file or directory)",
        "textos/huge.md": "has 5,242,881 bytes; no mesh accepts more than 5,242,880; split it",
        "textos/ol\udce1.md": "its name is not UTF-8: rename it",
    }


async def test_a_key_that_has_used_up_its_requests_waits_for_the_next_and_goes_on() -> None:
    refusals = [
        MalhaError(ErrorReason.ERROR_REASON_RATE_LIMITED, "more than 10 a minute", retry_after=6.0),
        MalhaError(ErrorReason.ERROR_REASON_RATE_LIMITED, "more than 10 a minute", retry_after=0.5),
    ]
    waited: list[float] = []

    async def ingest(batch: list[Document]) -> Sequence[IngestOutcome]:
        if refusals:
            raise refusals.pop(0)
        return [IngestOutcome(name=one.name) for one in batch]

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    (outcome,) = await documents.stored(ingest, [Document(name="a.md")], wait=wait)
    assert outcome.name == "a.md"
    assert waited == [6.0, 0.5]


async def test_what_waiting_cannot_cure_is_raised() -> None:
    async def ingest(_: list[Document]) -> Sequence[IngestOutcome]:
        raise unavailable("retrieval")

    with pytest.raises(MalhaError, match="retrieval"):
        await documents.stored(ingest, [Document(name="a.md")])
