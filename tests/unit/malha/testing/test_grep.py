"""A search of a server's files that reports what it reads and is not stopped by the server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from malha.testing.grep import files_with


def test_files_are_named_with_how_many_of_the_needles_they_hold(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "both").write_bytes(b"..ana..bob..")
    (tmp_path / "one").write_bytes(b"bob")
    (tmp_path / "none").write_bytes(b"carol")
    os.mkfifo(tmp_path / "pipe")
    assert files_with([b"ana", b"bob"], tmp_path) == {"deep/both": 2, "one": 1}


@pytest.mark.parametrize("where", ["scandir", "read"])
def test_what_a_server_takes_away_meanwhile_does_not_stop_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "passing").mkdir()
    (tmp_path / "passing" / "by").write_bytes(b"ana")
    (tmp_path / "stays").write_bytes(b"ana")
    true_scandir, true_read = os.scandir, Path.read_bytes

    def scandir(path: str) -> object:
        if where == "scandir" and str(path).endswith("passing"):
            raise FileNotFoundError(path)
        return true_scandir(path)

    def read(path: Path) -> bytes:
        if where == "read" and path.name == "by":
            raise FileNotFoundError(path)
        return true_read(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "read_bytes", read)
    assert files_with([b"ana"], tmp_path) == {"stays": 1}


def test_a_folder_that_may_not_be_read_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(path: str) -> object:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError):
        files_with([b"ana"], tmp_path)
