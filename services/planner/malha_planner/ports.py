"""What the planner needs from outside, and nothing about how it gets it.

Ideas in this package see only these Protocols and the contract's messages; `app.py`
decides which adapter stands behind each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    SettleRequest,
    SettleResponse,
)
from malha.api.guard.v1.guard_service_pb2 import CheckRequest, CheckResponse
from malha.api.run.v1.chat_pb2 import ChatMessage, Citation
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import (
    ExecuteRequest,
    ExecuteResponse,
    ResolveRequest,
    ResolveResponse,
)


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
    ) -> ModelReply:
        """Call the model once; no retry in here.

        Raises MalhaError MODEL_UNAVAILABLE (may be asked again), MODEL_REFUSED (may not)
        or DEADLINE_EXCEEDED. Cancelling the task closes the connection.
        """

    async def close(self) -> None:
        """Free connections; the model is not used afterwards."""


Models = Mapping[str, Model]
"""Models by "<provider>/<name>", as `models.registry.open_models(settings)` gives them."""


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


class Boundaries(Protocol):
    """The named places between two writes of a run, where a crash is worth provoking."""

    async def reach(self, name: str) -> None:
        """Called at `before_model_started`, `after_model_started`, `model_returned`, `before_tool_started`,
        `after_tool_started`, `tool_returned`, `after_tool_result` and `before_final`."""


class NoBoundaries:
    """The shipped boundaries: passing one does nothing."""

    async def reach(self, name: str) -> None:
        del name


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

    async def ack(self) -> None:
        """Delete the hint. A fenced worker must not: it would delete it from under the new owner."""

    async def in_progress(self) -> None:
        """Start the lease anew."""

    async def queued(self, item: int) -> bool:
        """Whether another hint, by its sequence, is still in the queue, delivered or not."""


class Acting(Protocol):
    """How calls to other services learn whom they are for (`malha.wire.acting_for`)."""

    def __call__(self, principal: Principal, *, timeout: float) -> AbstractContextManager[object]: ...
