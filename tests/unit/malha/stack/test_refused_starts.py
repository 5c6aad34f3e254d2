"""What keeps a mesh from starting is said in a line, and nothing was started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from malha.cli.commands import app
from malha.stack import ports
from malha.stack.free_ports import free_port


def test_a_taken_port_is_named_in_one_line_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "FIRST", port)
        result = CliRunner().invoke(app, ["up", "--state", str(tmp_path)])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line == f"malha: port {port} (edge) is taken: stop what uses it, or use --free-ports"


@pytest.mark.parametrize("option", ["--state", "--ready-file"])
def test_a_folder_that_cannot_be_used_is_named_in_one_line_with_what_to_do(
    tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    wanted = ["--state", str(tmp_path / "state"), option, str(tmp_path / "file" / "below")]
    result = CliRunner().invoke(app, ["up", "--free-ports", *wanted])
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert said.startswith("malha: ")
    assert f"use {'another ' if option == '--ready-file' else ''}{option}" in said
    assert not (tmp_path / "state").exists()
