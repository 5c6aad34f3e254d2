"""What the ready file says of a mesh."""

from pathlib import Path

from malha.stack import ready_file
from malha.stack.secrets import Secrets


def test_every_process_is_told_with_its_port(tmp_path: Path) -> None:
    ports = {"edge": 1, "planner": 2, "nats": 3, "valkey": 4, "planner-2": 5, "planner-metrics": 6}
    pids = {"nats": 10, "valkey": 11, "planner": 12, "planner-2": 13, "edge": 14}
    told = ready_file.facts(ports, Secrets(tmp_path / "secrets"), pids)
    assert [(process["name"], process["pid"], process["port"]) for process in told["processes"]] == [
        ("nats", 10, 3),
        ("valkey", 11, 4),
        ("planner", 12, 2),
        ("planner-2", 13, 5),
        ("edge", 14, 1),
    ]
