"""The ready file says how to reach the mesh, to its owner alone, and never brings the mesh down."""

from __future__ import annotations

import json
from pathlib import Path

from malha.stack.ready_file import Facts, ReadyFile, facts
from malha.stack.secrets import Secrets

FACTS: Facts = {
    "rest_url": "http://127.0.0.1:1",
    "grpc_target": "127.0.0.1:1",
    "nats_url": "nats://dev:secret@127.0.0.1:2",
    "tenant": "dev",
    "api_key": "mk_dev_1",
    "processes": [{"name": "guard", "pid": 1, "port": 3}],
    "metrics": {},
}


def test_it_is_its_owners_alone_and_goes_with_the_mesh(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    file = ReadyFile(path, lambda name, line: None)
    file.update(FACTS)
    assert json.loads(path.read_text()) == FACTS
    assert path.stat().st_mode & 0o077 == 0
    file.remove()
    assert not list(tmp_path.iterdir())


def test_one_that_cannot_be_written_is_told_of_and_written_when_it_can_be_again(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    file = ReadyFile(folder / "ready.json", lambda name, line: said.append(line))
    file.update(FACTS)
    assert said == [f"{folder}/ready.json cannot be written and is out of date: No such file or directory"]
    folder.mkdir()
    file.update(FACTS)
    assert (folder / "ready.json").exists()
    assert len(said) == 1


def test_a_mesh_without_one_writes_none(tmp_path: Path) -> None:
    file = ReadyFile(None, lambda name, line: None)
    file.update(FACTS)
    file.remove()
    assert not list(tmp_path.iterdir())


def test_every_process_is_told_with_its_port(tmp_path: Path) -> None:
    ports = {"edge": 1, "planner": 2, "nats": 3, "valkey": 4, "planner-2": 5, "planner-metrics": 6}
    pids = {"nats": 10, "valkey": 11, "planner": 12, "planner-2": 13, "edge": 14}
    told = facts(ports, Secrets(tmp_path / "secrets"), pids)
    assert [(process["name"], process["pid"], process["port"]) for process in told["processes"]] == [
        ("nats", 10, 3),
        ("valkey", 11, 4),
        ("planner", 12, 2),
        ("planner-2", 13, 5),
        ("edge", 14, 1),
    ]
