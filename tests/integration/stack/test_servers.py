"""The servers that tests and the mesh stand on start, come back on their port, and die with their starter."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nats
import redis

from malha.testing.servers import RunningServer

STARTER = """
import pathlib, signal
from malha.stack import servers
from malha.testing.servers import RunningServer
state = pathlib.Path({state!r})
server = RunningServer(servers.valkey(state), state / "log")
server.start()
print(server.pid, flush=True)
signal.pause()
"""


async def test_what_jetstream_acknowledged_survives_a_crash_of_nats(nats_server: RunningServer) -> None:
    client = await nats.connect(nats_server.url)
    await client.jetstream().add_stream(name="CRASH", subjects=["crash"])
    await client.jetstream().publish("crash", b"kept")
    await client.close()
    nats_server.restart(crash=True)
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().get_msg("CRASH", 1)).data == b"kept"
    await client.jetstream().delete_stream("CRASH")
    await client.close()


def test_valkey_comes_back_on_its_port(valkey_server: RunningServer) -> None:
    before, url = valkey_server.pid, valkey_server.url
    valkey_server.restart()
    assert valkey_server.pid != before
    with redis.from_url(url) as client:
        assert client.ping()


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = STARTER.format(state=str(tmp_path))
    command = (sys.executable, "-c", starter)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    assert process.stdout is not None
    server = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 5
    while alive(server) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(server)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
