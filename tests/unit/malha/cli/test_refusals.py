"""What goes wrong is said in a line on the error stream, with what to do next; data alone is on the other."""

from __future__ import annotations

import errno
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner, Result

from malha.api.gateway.v1.run_pb2 import Run, RunError, RunEvent
from malha.cli import approving, session
from malha.cli.__main__ import main
from malha.cli.commands import app
from malha.client import Client, ErrorReason, MalhaError
from malha.errors import unavailable
from malha.stack.free_ports import free_port

RUN = "a" * 52


def malha(monkeypatch: pytest.MonkeyPatch, *arguments: str, said: str = "") -> Result:
    """What the command does where no mesh runs."""
    monkeypatch.setenv("MALHA_GRPC_TARGET", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("MALHA_API_KEY", "a key")
    return CliRunner().invoke(app, arguments, input=said)


@pytest.mark.parametrize(
    "command", [["ask", "hi"], ["runs"], ["show", RUN], ["agents"], ["ingest", __file__], ["export"]]
)
def test_where_no_mesh_runs_the_error_stream_says_how_to_start_one(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = malha(monkeypatch, *command)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "DEPENDENCY_UNAVAILABLE" in result.stderr
    assert "start it with: malha up" in result.stderr


def test_a_question_in_another_character_set_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    result = malha(monkeypatch, "ask", "ol\udce1")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line == "malha: what was typed is not UTF-8: set the terminal to it"


@pytest.mark.parametrize(
    "command",
    [
        ["ingest", "no/such/folder"],
        ["erase"],
        ["export", "--form", "stripe"],
        ["settle", RUN],
        ["tenants", "link", "acme", ""],  # a variable that is not set: nobody would pay any more
    ],
)
def test_what_cannot_be_meant_is_a_mistake_in_the_use_of_the_command(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = malha(monkeypatch, *command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")


def test_a_full_disk_is_named_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prints(_: Client) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(typer.Exit) as ended:
        session.run(prints)
    assert ended.value.exit_code == 1
    assert capsys.readouterr() == ("", "malha: No space left on device\n")


def test_who_is_too_fast_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def hurries(_: Client) -> int:
        raise MalhaError(ErrorReason.ERROR_REASON_RATE_LIMITED, "more than 10 a minute", retry_after=5.2)

    with pytest.raises(typer.Exit):
        session.run(hurries)
    assert capsys.readouterr().err.splitlines() == [
        "RATE_LIMITED more than 10 a minute",
        "the same may succeed in 6 s",
    ]


class Losing(Client):
    """A mesh that takes a question, has it wait for people, and is lost."""

    async def create_run(self, question: str, **_: object) -> Run:
        return Run(run_id=RUN, input=question)

    async def events(self, run_id: str, **_: object) -> AsyncIterator[RunEvent]:  # type: ignore[override]
        yield RunEvent(waiting=RunError(reason="APPROVAL_REQUIRED", message="people are to decide"))
        raise unavailable("malha")


def test_who_watches_a_run_wait_and_loses_sight_of_it_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "Client", Losing)
    result = malha(monkeypatch, "ask", "hi")
    assert result.exit_code == 1
    assert "malha approvals" in result.stderr, "and who watches it wait, how it goes on"
    assert f"malha show {RUN}" in result.stderr
    assert f"malha cancel {RUN}" in result.stderr


def test_a_run_in_which_nothing_waits_is_not_blamed_on_the_hash() -> None:
    with pytest.raises(MalhaError) as refused:
        approving.chosen(session.console, Run(run_id=RUN), "")
    assert refused.value.reason == ErrorReason.ERROR_REASON_APPROVAL_NOT_PENDING


@pytest.mark.parametrize("group", [[], ["dead"], ["ledger"], ["eval"], ["tenants"], ["webhooks"]])
def test_the_list_of_commands_fits_a_terminal_of_80_columns(group: list[str]) -> None:
    result = CliRunner().invoke(app, [*group, "--help"], env={"COLUMNS": "80"})
    _, commands = result.stdout.split("Commands:\n")
    assert "..." not in commands


@pytest.mark.parametrize("said", ["", "n\n"])
def test_no_tenant_is_erased_before_somebody_says_yes(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = malha(monkeypatch, "erase", "--tenant", "acme", said=said)
    assert result.exit_code == 1
    assert "Erase all runs of acme and its data key, for good?" in result.stderr
    assert "DEPENDENCY_UNAVAILABLE" not in result.stderr, "nobody was asked to do it"


@pytest.mark.parametrize(("command", "said"), [((), "y\n"), (("--yes",), "")])
def test_a_tenant_is_erased_once_somebody_said_yes(
    command: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = malha(monkeypatch, "erase", "--tenant", "acme", *command, said=said)
    assert "DEPENDENCY_UNAVAILABLE" in result.stderr, "it was asked for"


@pytest.mark.parametrize(("target", "shown"), [("127.0.0.1:7400", True), ("malha.example:443", False)])
def test_the_key_of_the_local_mesh_is_shown_to_no_other(
    target: str, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".malha" / "secrets").mkdir(parents=True)
    (tmp_path / ".malha" / "secrets" / "dev.key").write_text("mk_dev_local\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MALHA_API_KEY", raising=False)
    monkeypatch.setenv("MALHA_GRPC_TARGET", target)
    assert session._api_key() == ("mk_dev_local" if shown else None)


class Loading:
    """The commands, of which Ctrl-C comes before they are there."""

    def __getattr__(self, _: str) -> NoReturn:
        raise KeyboardInterrupt


def test_ctrl_c_before_a_command_has_begun_ends_it_without_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "malha.cli.commands", Loading())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
