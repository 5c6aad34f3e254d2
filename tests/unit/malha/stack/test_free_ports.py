"""Ports that no second caller gets, and no connection takes, before their server binds them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from malha.stack import free_ports as module
from malha.stack.free_ports import LOWEST, free_port, free_ports
from malha.stack.ports import LISTENERS


def test_ports_of_a_mesh_are_all_different() -> None:
    ports = free_ports()
    assert set(ports) == set(LISTENERS)
    assert len(set(ports.values())) == len(LISTENERS)


def test_a_port_chosen_here_is_not_chosen_by_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten ports are all there are: nine go to this process, the other gets the tenth, or none at all."""
    here = _nine_of_ten(monkeypatch)
    there = f"import malha.stack.free_ports as m; m.LOWEST, m.BEYOND = {module.LOWEST}, {module.BEYOND}; "
    ask = [sys.executable, "-c", f"{there}print(m.free_port())"]
    first = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603 # ours
    assert int(first.stdout) not in here
    free_port()
    last = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603 # ours
    assert "no free port" in last.stderr


def test_a_port_where_somebody_listens_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
        taken = server.getsockname()[1]
        monkeypatch.setattr(module, "LOWEST", taken)
        monkeypatch.setattr(module, "BEYOND", taken + 1)
        with pytest.raises(OSError, match="no free port"):
            free_port()


def test_no_outgoing_connection_is_given_one_of_them() -> None:
    around = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not around.exists():
        pytest.skip("only Linux says which ports it gives to connections")
    assert LOWEST < module.BEYOND <= int(around.read_text().split()[0])


def _nine_of_ten(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ten ports in a row of which nobody has any."""
    for lowest in range(LOWEST, module.BEYOND, 10):
        signs = [module._bound(socket.SOCK_DGRAM, port) for port in range(lowest, lowest + 10)]
        probes = [module._bound(socket.SOCK_STREAM, port) for port in range(lowest, lowest + 10)]
        for bound in (*signs, *probes):
            if bound is not None:
                bound.close()
        if all(signs) and all(probes):
            break
    monkeypatch.setattr(module, "LOWEST", lowest)
    monkeypatch.setattr(module, "BEYOND", lowest + 10)
    return {free_port() for _ in range(9)}
