"""A model's text is told while it is written, as the guard lets it through.

Everything here may fail without harm: what was not told of a text is told by the journal, and a text that the
guard did not judge as a stream is judged whole. What must not happen is that a word is told which the guard
has not let through, or that the run waits for those who listen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from malha.api.guard.v1.guard_service_pb2 import FilterStreamRequest, Judgement
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.run.v1.record_pb2 import Action, Content, StepStarted
from malha.clock import Clock
from malha.errors import MalhaError
from malha.run import DELTA, RunState, Sealer
from malha.tasks import end
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.ports import Deltas, Guard, Listening

GATHER_SECONDS = 0.05
"""What is heard within so long is judged and told together: a run's cost does not grow with its tokens."""
WHOLE_SECONDS = 1.0
"""How often all of the text is told again, for those who came late or missed something."""
MOST_BYTES = 256 * 1024
"""A text is told up to this size; the rest comes with the journal."""
_JUDGED_SECONDS = 5.0


class Voice:
    """What is needed to tell the texts of one run."""

    def __init__(self, guard: Guard, deltas: Deltas, sealer: Sealer, clock: Clock, state: RunState) -> None:
        self._parts = guard, deltas, sealer, clock
        self._state = state

    @asynccontextmanager
    async def speech(self) -> AsyncIterator[Speech | None]:
        """One text to be told within the block; None where nobody asked for it."""
        if not self._state.accepted.stream:
            yield None
            return
        speech = Speech(*self._parts, self._state)
        telling = asyncio.create_task(speech.tell())
        try:
            yield speech
        finally:
            await end(telling)
            if not telling.cancelled() and (error := telling.exception()) is not None:
                log.error("telling_failed", run=self._state.run_id, error=type(error).__name__)


class Speech:
    """One text, from its first piece to the guard's judgement of the whole."""

    def __init__(self, guard: Guard, deltas: Deltas, sealer: Sealer, clock: Clock, state: RunState) -> None:
        self._guard = guard
        self._deltas = deltas
        self._sealer = sealer
        self._clock = clock
        self._state = state
        self._started = StepStarted()
        self._heard: list[str] = []
        self._asked = 0
        """How many pieces were given to the guard."""
        self._something = asyncio.Event()
        self._complete = asyncio.Event()
        self._over = asyncio.Event()
        self._judgement: Judgement | None = None
        self._told = ""
        self._reset = False
        self._whole_due = 0.0

    def begin(self, started: StepStarted) -> Listening:
        """What the model that is called as this step is to be given."""
        self._started = started
        # another attempt was told of, perhaps: what it said is void
        self._reset = any(step.step == started.step and step.key != started.key for step in self._state.steps)
        return Listening(self._hear)

    async def judged(self, text: str) -> Judgement | None:
        """The guard's judgement of the model's whole text; None where it did not get to judge just this."""
        if not self._heard:
            return None
        self._complete.set()
        self._something.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_JUDGED_SECONDS):
                await self._over.wait()
        judgement = self._judgement
        if judgement is not None and (
            judgement.verdict.action == Action.ACTION_BLOCK or "".join(self._heard) == text
        ):
            return judgement
        metrics.PLANNER_UNHEARD.inc()
        return None

    async def tell(self) -> None:
        """Have the guard judge what is heard, and tell what it lets through."""
        await self._something.wait()
        repeating = asyncio.create_task(self._repeat())
        try:
            async with aclosing(self._guard.filter(self._requests())) as responses:
                async for response in responses:
                    await self._take(response.text, reset=response.reset)
                    if response.HasField("judgement"):
                        self._judgement = response.judgement
        except MalhaError as error:
            log.warning("text_unheard", run=self._state.run_id, reason=error.reason_name)
        finally:
            self._over.set()
            await end(repeating)

    def _hear(self, text: str) -> None:
        self._heard.append(text)
        self._something.set()

    async def _requests(self) -> AsyncIterator[FilterStreamRequest]:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._complete.wait()
            pieces = self._heard[self._asked :]
            self._asked += len(pieces)
            if pieces:
                yield FilterStreamRequest(text="".join(pieces), agent=self._state.accepted.agent)
            elif self._complete.is_set():
                return
            else:
                self._something.clear()
                await self._something.wait()

    async def _take(self, text: str, *, reset: bool) -> None:
        if reset:
            self._told, self._reset = "", True
        offset = len(self._told)
        self._told += text
        if text or reset:
            await self._publish(0 if self._clock.monotonic() >= self._whole_due else offset)

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep(WHOLE_SECONDS)
            if self._told and self._clock.monotonic() >= self._whole_due:
                with suppress(MalhaError):
                    await self._publish(0)

    async def _publish(self, offset: int) -> None:
        """Tell the text from there on."""
        if len(self._told.encode()) > MOST_BYTES:
            return
        if offset == 0:
            self._whole_due = self._clock.monotonic() + WHOLE_SECONDS
        tenant, run_id = self._state.tenant, self._state.run_id
        content = Content(text=self._told[offset:])
        delta = Delta(
            tenant=tenant,
            run_id=run_id,
            key=self._started.key,
            step=self._started.step,
            epoch=self._state.epoch,
            offset=offset,
            reset=self._reset and offset == 0,
            content=await self._sealer.seal(tenant, run_id, DELTA, content),
        )
        await self._deltas.publish(delta)
