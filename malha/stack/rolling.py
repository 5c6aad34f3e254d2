"""Replaces processes one by one while the mesh serves: a new one starts, serves, and the old one leaves.

Callees come before callers, so that a caller of the new version finds what it asks for. A process that
does not come up leaves the old one in its place and ends the roll.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, MutableMapping

from malha.stack.program import Handover
from malha.stack.replicas import role
from malha.stack.supervisor import StartError, Supervised

ORDER = ("cost", "guard", "retrieval", "tools", "planner", "gateway", "edge")
START_SECONDS = 60.0
HANDOVER_SECONDS = 40.0  # longer than the edge lets what is under way finish

Tell = Callable[[str], None]


class UnknownProcessError(Exception):
    """There is no process, and no service, of that name."""


class NotReplacedError(Exception):
    """A process kept its place, because none came up for it; the message is one line."""


class Rolling:
    """Rolls the members of a mesh, in place.

    Args:
        members: who runs, by name; a successor takes its predecessor's place here once it serves.
        tasks: where processes are kept running.
        changed: called after each replacement.
    """

    def __init__(
        self,
        members: MutableMapping[str, Supervised],
        tasks: asyncio.TaskGroup,
        changed: Callable[[], None],
    ) -> None:
        self._members = members
        self._tasks = tasks
        self._changed = changed
        self._one_at_a_time = asyncio.Lock()
        self.between: set[Supervised] = set()
        """Who comes and is not in its place yet, and who left its place and has not ended."""

    async def roll(self, wanted: Iterable[str], tell: Tell) -> None:
        """Replace the processes of these names or services; of all services and the edge where none is named.

        Raises:
            UnknownProcessError: nothing was done.
            NotReplacedError: one did not come up; those before it are replaced.
        """
        names = self._named(wanted)
        async with self._one_at_a_time:
            for name in names:
                began = time.monotonic()
                before = self._members[name].pid
                await self._replace(name)
                after = self._members[name].pid
                tell(f"{name}: {before} -> {after} in {time.monotonic() - began:.1f} s")

    def _named(self, wanted: Iterable[str]) -> list[str]:
        names: list[str] = []
        for want in wanted or ORDER:
            found = [name for name in self._members if want in (name, role(name))]
            if not found:
                raise UnknownProcessError(f"there is no {want}; there are {', '.join(self._members)}")
            names += found
        return names

    async def _replace(self, name: str) -> None:
        old = self._members[name]
        new = old.succeed()
        self.between.add(new)
        if old.program.handing_over is Handover.AFTER:
            await old.stop()
        try:
            await new.start(self._tasks)
            await new.until_ready(time.monotonic() + START_SECONDS)
            if old.program.handing_over is Handover.BY_ITSELF:
                await old.until_ended(HANDOVER_SECONDS)
        except StartError as error:
            await new.stop()
            self.between.discard(new)
            raise NotReplacedError(f"{name} is not replaced: {error.why}; {await self._back(old)}") from error
        self._members[name] = new
        self.between ^= {old, new}
        self._changed()
        await old.stop()
        self.between.discard(old)

    async def _back(self, old: Supervised) -> str:
        """Let the old process go on; what became of it, in words."""
        pid = old.pid
        await old.keep_on(self._tasks)
        if old.pid == pid:
            return f"process {pid} goes on"
        try:
            await old.until_ready(time.monotonic() + START_SECONDS)
        except StartError:
            return "nor does it come up again by itself"
        self._changed()
        return f"it was started again as before, as process {old.pid}"
