"""What the planner needs from outside, and nothing about how it gets it.

Ideas in this package see only these Protocols and the contract's messages; `app.py`
decides which adapter stands behind each.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import (
    AlertName,
    AuthorizeRequest,
    AuthorizeResponse,
    ListHeldResponse,
    SettleRequest,
    SettleResponse,
)
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.guard.v1.guard_service_pb2 import (
    CheckRequest,
    CheckResponse,
    FilterStreamRequest,
    FilterStreamResponse,
)
from malha.api.planner.v1.erasure_pb2 import Erasure
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.archive_pb2 import ArchivedRecord
from malha.api.run.v1.chat_pb2 import ChatMessage, Citation
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import (
    ExecuteRequest,
    ExecuteResponse,
    ResolveRequest,
    ResolveResponse,
)
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Position


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What one model call came to."""

    message: ChatMessage
    """The assistant's turn: text, tool calls, or both."""
    usage: Usage
    """Tokens as the provider counted them; the bill is made of these."""
    citations: Sequence[Citation] = field(default=())
    """Passages the text stands on, where the model names them itself."""
    finish: str = "stop"
    """Why it stopped: "stop", "tool_calls", "length" or "content_filter"."""


class NoAnswerError(MalhaError):
    """A model was asked and did not answer: it may have done the work and bill it, so the ceiling is owed."""

    def __init__(self, what: str) -> None:
        super().__init__(ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE, what, retry_after=1.0)


@dataclass(slots=True)
class Listening:
    """Somebody who wants to hear a model's text while it is written."""

    hear: Callable[[str], None]
    """Given each further piece; together they are the reply's text. Must not block."""
    usage: Usage | None = None
    """Set where the call ends without a reply: tokens of what had come by then, as the provider told or
    counted here; None where nothing had."""
    told: bool = False
    """That the provider itself told `usage`. What is counted here is what could be seen of the answer."""


class Model(Protocol):
    """One model of one provider."""

    provider: str
    """The provider as the price table knows it, such as "openai" or "offline"."""
    name: str
    """The model as the price table knows it."""
    is_llm: bool
    """False for a deterministic model; callers are told."""

    def count(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
        """Input tokens this call will use at most. Money is reserved by it, so never below the truth."""

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        listening: Listening | None = None,
    ) -> ModelReply:
        """Call the model once; no retry in here. One that has its text at once need not make pieces of it.

        Raises MalhaError MODEL_UNAVAILABLE (nothing was done; may be asked again), MODEL_REFUSED (may not),
        or NoAnswerError once the request may have reached it. Cancelling the task closes the connection.
        """

    async def close(self) -> None:
        """Free connections; the model is not used afterwards."""


Models = Mapping[str, Model]
"""Models by "<provider>/<name>", as `models.registry.open_models` gives them."""


class Ledger(Protocol):
    """The judge of money (the cost service), for the current principal."""

    async def authorize(self, request: AuthorizeRequest) -> AuthorizeResponse: ...

    async def settle(self, request: SettleRequest) -> SettleResponse: ...


class Toolbox(Protocol):
    """The tools within the current principal's reach (the tools service)."""

    async def list(self) -> Sequence[Tool]: ...

    async def execute(self, request: ExecuteRequest, *, timeout: float) -> ExecuteResponse: ...

    async def resolve(self, request: ResolveRequest) -> ResolveResponse: ...


class Guard(Protocol):
    """The judge of texts (the guard service). It fails closed: no verdict, no use of the text."""

    async def check(self, request: CheckRequest) -> CheckResponse: ...

    def filter(
        self, requests: AsyncIterator[FilterStreamRequest]
    ) -> AsyncGenerator[FilterStreamResponse, None]:
        """The responses to a text that is being written, as `GuardService.FilterStream` says."""
        ...


class Deltas(Protocol):
    """Where parts of texts are told to whoever listens at the moment."""

    async def publish(self, delta: Delta) -> None:
        """Tell it, or drop it: never raises, and waits for nobody."""


class Boundaries(Protocol):
    """The named places between two writes of a run, where a crash is worth provoking."""

    async def reach(self, name: str) -> None:
        """Called at `before_model_started`, `after_model_started`, `model_returned`, `before_tool_started`,
        `after_tool_started`, `tool_returned`, `after_tool_result` and `before_final`."""


class NoBoundaries:
    """The shipped boundaries: passing one does nothing."""

    async def reach(self, name: str) -> None:
        del name


@dataclass(frozen=True, slots=True)
class Hint:
    """A run that may be runnable."""

    name: str
    """What makes it the same hint as another."""
    lane: str
    tenant: str
    run_id: str
    accepted: int = 0
    """Sequence of the run's first record, if that is what the hint was made for."""


@dataclass(frozen=True, slots=True)
class Row:
    """A run in the runs table: what a caller sees, and what the table needs to keep it right."""

    tenant: str
    last_sequence: int
    accepted_sequence: int
    updated: datetime
    """Stored time of its last record."""
    lane: str
    row: RunRow
    due: datetime | None = None
    """When it wants a hint if nothing happened to it until then; None: never."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run whose time has come."""

    tenant: str
    run_id: str
    lane: str
    last_sequence: int
    reminders: int
    """How many hints it got since that record."""


class WorkItem(Protocol):
    """One delivery of a hint that a run may be runnable. Only the journal knows whether it is."""

    @property
    def tenant(self) -> str: ...

    @property
    def run_id(self) -> str: ...

    @property
    def item(self) -> int:
        """The hint's sequence in the queue; equal for all its deliveries."""

    @property
    def delivery(self) -> int:
        """Counts from 1."""

    @property
    def time(self) -> datetime:
        """When the queue stored the hint, by the broker's clock."""

    @property
    def accepted(self) -> int:
        """As the hint's; 0 from a follower of the version before."""

    async def ack(self) -> None:
        """Delete the hint. A fenced worker must not: it would delete it from under the new owner."""

    async def in_progress(self) -> None:
        """Start the lease anew."""

    async def give_back(self) -> None:
        """Have it delivered again at once, to whoever asks. A fenced worker must not."""

    def resting(self) -> AbstractAsyncContextManager[None]:
        """For a block that only waits: the item is still ours, and takes none of the slots for work.

        At its end a slot is waited for. Raises MalhaError OVERLOADED before it where too many rest.
        """
        ...

    async def queued(self, item: int) -> bool:
        """Whether another hint, by its sequence, is still in the queue, delivered or not."""


class RecordFeed(Protocol):
    """All runs' records, in the order they were stored."""

    def after(self, sequence: int) -> AbstractAsyncContextManager[AsyncIterator[list[Entry]]]:
        """Batches of records after a sequence, as they come, without end.

        Iterating raises MalhaError DEPENDENCY_UNAVAILABLE where the feed broke: open it anew.
        """

    async def last(self) -> int:
        """The sequence of the last record of all; 0 for none."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event to publish."""

    tenant: str
    type: str
    position: Position
    body: bytes
    """A CloudEvent in JSON."""


class Overtaken(Exception):  # noqa: N818 - no fault: of two leaders one loses
    """Another follower published first: it leads."""


class Announcer(Protocol):
    """Where events are published, each after the one before and nobody else's between."""

    async def last(self) -> tuple[int, Position]:
        """The fence (sequence of the last event, 0 for none) and the position it announced.

        Position(0, 0) where there is none, or where it is too old to be kept.
        """

    async def publish(self, events: Sequence[Announcement], *, fence: int) -> int:
        """Publish in order after the fence; the new fence. Raises Overtaken."""


class Presence(Protocol):
    """What followers tell one another about who leads. Words may be lost: the fence on the events decides."""

    async def lead(self) -> None:
        """Say that this one leads; to be said again and again. Never raises."""

    async def leave(self) -> None:
        """Say that this one leads no more, so that nobody waits for its silence. Never raises."""

    async def led(self, within: float) -> bool:
        """Whether anyone says in so many seconds that it leads; False at once where one leaves."""


class Waker(Protocol):
    """Puts hints into the work queue."""

    async def wake(self, hints: Sequence[Hint]) -> None:
        """Queue each hint once: a name used within the last two minutes is not queued again."""

    async def now(self) -> datetime:
        """The time by the clock that stamps the hints, which is the one a parked run is due by."""


class RunsTable(Protocol):
    """What is known of every run without reading its journal."""

    async def upsert(self, rows: Sequence[Row], *, followed: int) -> None:
        """Write rows that are newer than what is there; remember how far all was announced."""

    async def followed(self) -> int:
        """The sequence up to which all was announced when the table was last written; 0 at first."""

    async def due(self, moment: datetime, *, limit: int) -> list[Due]:
        """Open runs whose time has come by the moment, the longest due first."""

    async def reminded(self, runs: Sequence[tuple[Due, datetime]]) -> None:
        """Each run got a hint and is due again at the time beside it, unless it moved on meanwhile."""

    async def archivable(self, moment: datetime, *, told: int, limit: int) -> list[tuple[str, str]]:
        """(tenant, run id) of runs that ended by the moment and whose journals are not archived, the oldest
        first; of those whose last record is at most `told`."""

    async def archived(self, tenant: str, run_id: str, *, through: int) -> None:
        """The run's records through that sequence are in the archive and gone from the stream."""

    async def remove(self, tenant: str, run_id: str, *, through: int) -> None:
        """Forget the run, and refuse its row from now on unless it has a record after that sequence."""

    async def page(
        self, tenant: str, where: Mapping[str, str], *, before: int | None, limit: int
    ) -> list[tuple[int, RunRow]]:
        """(accepted sequence, row) of a tenant's runs, newest first, accepted before a sequence.

        `where` holds equalities on status, agent and session_id.
        """

    async def dead(self, tenant: str, *, before: int | None, limit: int) -> list[tuple[int, str, RunRow]]:
        """(accepted sequence, tenant, row) of the dead runs of a tenant, or of all for "", newest first."""


class HeldMoney(Protocol):
    """What the ledger holds of all tenants, and how it is let go."""

    async def held(self, older_than: timedelta, *, skip: int) -> ListHeldResponse:
        """Runs that hold something and reserved nothing for so long, but for the first ``skip`` of them."""

    async def settle(self, request: SettleRequest) -> SettleResponse:
        """Settle reservations of the current principal's tenant."""


class Alerts(Protocol):
    """What the ledger wants people to hear of, of all tenants."""

    async def untold(self) -> Sequence[Alert]:
        """Alerts that were not announced yet, the oldest first."""

    async def told(self, alerts: Sequence[AlertName]) -> None:
        """These were; told again it changes nothing."""


class Shelf(Protocol):
    """Where journals are kept once they left the stream; what is stored is on disk."""

    async def put(self, tenant: str, run_id: str, entries: Sequence[Entry]) -> bool:
        """Keep a journal, unless it is there or was erased; whether it is there now."""

    async def records(self, tenant: str, run_id: str) -> Sequence[ArchivedRecord]:
        """The journal as it is kept; empty for a run that is not there."""

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        """The same as entries (`malha.run.Archive`)."""

    async def remove(self, tenant: str, run_id: str, *, through: int) -> None:
        """Delete a journal that ends at or before that sequence."""


class Erasures(Protocol):
    """What is to be erased, durably, from the asking to the end."""

    async def ask(self, erasure: Erasure) -> None:
        """Keep it until it is done; one that was asked for already stays as it is."""

    async def asked(self, *, limit: int) -> list[Erasure]:
        """Those that are not done."""

    async def waits(self, tenant: str, run_id: str) -> bool:
        """Whether an erasure of the run is not done."""

    async def done(self, erasure: Erasure) -> None:
        """Forget what was to be erased."""


class Streams(Protocol):
    """Deletes messages so that their bytes are overwritten. What is gone already is no error."""

    async def erase_records(self, sequences: Sequence[int]) -> None:
        """Records of one journal: its first, then its last, then all others."""

    async def erase_events(self, sequences: Sequence[int]) -> None:
        """The events that announced these records."""

    async def holds(self, sequence: int) -> bool:
        """Whether the stream of runs has a record there."""

    async def clear_queue(self) -> bool:
        """Let go of hints that were taken out of the queue; false while others wait in it."""


class Effects(Protocol):
    """What the tools service keeps of a run of the current principal's tenant."""

    async def erase(self, run_id: str) -> None:
        """Erase it; asked again it changes nothing."""


class Keys(Protocol):
    """Tenants' data keys."""

    async def destroy(self, tenant: str) -> None:
        """Erase the tenant's keys and make a new one: what they sealed stays closed, wherever it is."""


class Disk(Protocol):
    """The files of the planner's databases."""

    async def scour(self, ids: Sequence[str]) -> None:
        """Leave no byte of deleted rows behind, those with these ids first of all."""


class Leadership(Protocol):
    """One follower's time as the leader."""

    @property
    def told(self) -> int:
        """The sequence up to which everything is in the table and announced."""

    async def check(self) -> None:
        """Raise Overtaken where another follower leads by now."""


class Chore(Protocol):
    """Something that only the leader may do."""

    async def run(self, leadership: Leadership) -> None:
        """Do it for ever. Raises Overtaken, or MalhaError where a store is away."""


class Acting(Protocol):
    """How calls to other services learn whom they are for (`malha.wire.acting_for`)."""

    def __call__(self, principal: Principal, *, timeout: float) -> AbstractContextManager[object]: ...
