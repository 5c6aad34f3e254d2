"""A server that is missing is named in one line with the way to get it; an old NATS does not count."""

from collections.abc import Callable
from pathlib import Path

import pytest

from malha.stack import servers
from malha.stack.servers import MissingServerError, find_envoy, find_nats, find_valkey


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the wheels, and with one folder on PATH."""
    monkeypatch.setattr(servers, "_in_wheel", lambda package, pattern: "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return tmp_path


def put_nats(folder: Path, version: str) -> Path:
    program = folder / "nats-server"
    program.write_text(f"#!/bin/sh\necho 'nats-server: v{version}'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("find", "name"), [(find_valkey, "valkey-server"), (find_envoy, "envoy"), (find_nats, "nats-server")]
)
def test_what_is_missing_is_said_in_one_line(bare: Path, find: Callable[[], str], name: str) -> None:
    with pytest.raises(MissingServerError, match=f"^{name}.* is missing: .*make setup") as missing:
        find()
    assert "\n" not in str(missing.value)


def test_an_old_nats_on_the_path_is_not_taken(bare: Path) -> None:
    put_nats(bare, "2.9.10")
    with pytest.raises(MissingServerError, match=r"nats-server >= 2\.12 is missing: .*older"):
        find_nats()


def test_a_new_nats_on_the_path_is_taken(bare: Path) -> None:
    program = put_nats(bare, "2.12.1")
    assert find_nats() == str(program)
