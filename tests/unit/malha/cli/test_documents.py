"""The files of a folder: one that cannot be sent is refused with the reason, and stops no other."""

from __future__ import annotations

import os
from pathlib import Path

from malha.cli import documents


def test_files_that_cannot_be_sent_are_refused_by_name_and_the_others_are_sent(tmp_path: Path) -> None:
    folder = tmp_path / "textos"
    folder.mkdir()
    (folder / "devolução.md").write_text("Sapatos são aceitos em 45 dias.", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(folder) + b"/ol\xe1.md")).write_text("ok", encoding="utf-8")
    (folder / "gone.md").touch()
    with (folder / "huge.md").open("wb") as huge:
        huge.truncate(16_000_001)
    files = documents.found(folder)
    (folder / "gone.md").unlink()
    refused: dict[str, str] = {}
    sent = [one.name for batch in documents.batches(files, refused.__setitem__) for one in batch]
    assert sent == ["textos/devolução.md"]
    assert refused == {
        "textos/gone.md": "it cannot be read (No such file or directory)",
        "textos/huge.md": "has 16,000,001 bytes; no mesh accepts more than 16,000,000; split it",
        "textos/ol\udce1.md": "its name is not UTF-8: rename it",
    }
