"""How many processes of each service, and where they are found."""

from pathlib import Path

import pytest

from malha.stack.free_ports import free_ports
from malha.stack.ports import LISTENERS, listeners
from malha.stack.replicas import ReplicasError, names, parse, role
from malha.stack.secrets import Secrets
from malha.stack.services import Surroundings, services


def test_replicas_are_named_after_their_service_and_the_first_keeps_its_name() -> None:
    wanted = parse("planner=3,gateway=2")
    assert names("planner", wanted) == ["planner", "planner-2", "planner-3"]
    assert names("cost", wanted) == ["cost"]
    assert {role(name) for name in names("planner", wanted)} == {"planner"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cost=2", "cost runs once on SQLite: several processes need MALHA_COST_DATABASE_URL"),
        ("tools=2", "tools runs once on SQLite: an act"),
        ("edge=2", "edge is no service"),
        ("planner=0", "say for example planner=2"),
        ("planner", "say for example planner=2"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ReplicasError, match=why):
        parse(text)


def test_one_of_each_of_those_that_run_once_may_be_said() -> None:
    assert parse("cost=1,tools=1") == {"cost": 1, "tools": 1}


def test_cost_may_have_replicas_where_its_ledger_is_in_postgresql() -> None:
    assert parse("cost=3", {"MALHA_COST_DATABASE_URL": "postgresql://db/malha"}) == {"cost": 3}
    with pytest.raises(ReplicasError):
        parse("tools=3", {"MALHA_COST_DATABASE_URL": "postgresql://db/malha"})


def test_further_replicas_move_nobodys_port() -> None:
    assert listeners(parse("planner=2"))[: len(LISTENERS)] == list(LISTENERS)
    assert listeners({}) == list(LISTENERS)


def test_callers_are_told_of_every_replica_and_replicas_share_their_database(tmp_path: Path) -> None:
    wanted = parse("planner=2,guard=2")
    ports = free_ports(listeners(wanted))
    around = Surroundings(tmp_path, Secrets(tmp_path / "secrets"), ports, "n", "v", replicas=wanted)
    told = {program.name: program.env for program in services(around)}
    assert told["gateway"]["MALHA_GATEWAY_GUARD_TARGET"] == (
        f"127.0.0.1:{ports['guard']},127.0.0.1:{ports['guard-2']}"
    )
    first, second = told["planner"], told["planner-2"]
    assert first["MALHA_PLANNER_STATE_DIR"] == second["MALHA_PLANNER_STATE_DIR"]
    for own in ("LISTEN", "METRICS_LISTEN", "PORT_FILE"):
        assert first[f"MALHA_PLANNER_{own}"] != second[f"MALHA_PLANNER_{own}"]
