"""A socket in the state folder over which a running mesh is told to roll, by its owner alone.

A request is a line of JSON, {"roll": [names]}; the answer is a line of text for each thing done, and a
last line that is JSON again: {"failed": "why"}, empty where nothing did.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from malha.stack.rolling import NotReplacedError, Tell, UnknownProcessError

NAME = "control"
MESH_ENDED = "the mesh ended meanwhile"
Roll = Callable[[Sequence[str], Tell], Awaitable[None]]


class NoMeshError(Exception):
    """No mesh runs on that state folder."""


class RollFailedError(Exception):
    """The mesh could not replace a process; the message says which and why."""


@contextlib.asynccontextmanager
async def listening(state: Path, roll: Roll) -> AsyncIterator[None]:
    """Take orders for the length of the block; an order under way when it ends is dropped."""
    at_work: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        failed = MESH_ENDED
        try:
            order = json.loads(await reader.readline())
            await roll(order["roll"], lambda line: writer.write(f"{line}\n".encode()))
            failed = ""
        except (NotReplacedError, UnknownProcessError) as error:
            failed = str(error)
        except (ValueError, KeyError, TypeError):
            failed = "the order is not understood"
        finally:
            at_work.discard(task)
            writer.write(json.dumps({"failed": failed}).encode() + b"\n")
            writer.close()

    with _short(state) as path:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(serve, path)
        path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        for task in at_work:
            task.cancel()
        (state / NAME).unlink(missing_ok=True)


async def order_roll(state: Path, names: Sequence[str], tell: Tell) -> None:
    """Have the mesh on ``state`` replace its processes; each is told of as it is done.

    Raises:
        NoMeshError, RollFailedError: with a text for whoever asked.
    """
    try:
        with _short(state) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        raise NoMeshError(f"no mesh runs on {state}") from None
    with contextlib.closing(writer):
        writer.write(json.dumps({"roll": list(names)}).encode() + b"\n")
        last = ""
        async for line in reader:
            last = line.decode().rstrip()
            if not last.startswith("{"):
                tell(last)
    try:
        failed = json.loads(last)["failed"]
    except (ValueError, KeyError):
        failed = MESH_ENDED
    if failed:
        raise RollFailedError(failed)


@contextlib.contextmanager
def _short(state: Path) -> Iterator[Path]:
    """A name of the socket that fits its hundred characters, however deep the folder is."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{folder}/{NAME}")
    finally:
        os.close(folder)
