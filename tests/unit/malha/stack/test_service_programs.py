"""What the stack tells a service is what that service can be told."""

import importlib
from pathlib import Path

import pytest

from malha.settings import load
from malha.stack.free_ports import free_ports
from malha.stack.ports import PortTakenError, fixed_ports
from malha.stack.program import Program
from malha.stack.secrets import SERVICES, Secrets
from malha.stack.services import Surroundings, services


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, Program]:
    around = Surroundings(
        tmp_path,
        Secrets(tmp_path / "secrets"),
        free_ports(),
        "nats://n",
        "redis://v",
        otlp_endpoint="http://o",
    )
    return {program.name: program for program in services(around)}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_starts_on_the_settings_it_is_given(
    programs: dict[str, Program], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = importlib.import_module(f"malha_{name}.settings").Settings
    for variable, value in programs[name].env.items():
        monkeypatch.setenv(variable, value)
    loaded = load(settings)  # refuses unknown ones, and missing ones
    assert loaded.otlp_endpoint == "http://o"
    assert (loaded.secrets_dir / f"{name}.key").exists()
    assert all(getattr(loaded, field) for field in settings.model_fields if field.endswith("_target"))


def test_an_operators_variable_reaches_its_service_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALHA_TOOLS_LOG_LEVEL", "debug")
    monkeypatch.setenv("SOMETHING_SECRET", "s")
    around = Surroundings(tmp_path, Secrets(tmp_path / "secrets"), free_ports(), "n", "v")
    told = {program.name: program.environment() for program in services(around)}
    assert told["tools"]["MALHA_TOOLS_LOG_LEVEL"] == "debug"
    assert not any(
        "MALHA_TOOLS_LOG_LEVEL" in environment for name, environment in told.items() if name != "tools"
    )
    assert not any("SOMETHING_SECRET" in environment for environment in told.values())


def test_no_secret_stands_in_a_command_line(programs: dict[str, Program], tmp_path: Path) -> None:
    secrets = [path.read_text().strip() for path in (tmp_path / "secrets").rglob("*") if path.is_file()]
    for program in programs.values():
        assert not any(secret in argument for secret in secrets for argument in program.argv)


def test_a_taken_port_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("malha.stack.ports.FIRST", taken.getsockname()[1])
        with pytest.raises(PortTakenError, match=r"port \d+ \(edge\) is taken: .*--free-ports"):
            fixed_ports()
