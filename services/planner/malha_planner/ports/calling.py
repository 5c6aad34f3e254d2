"""What a run calls, and what it is asked through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    SettleRequest,
    SettleResponse,
)
from malha.api.guard.v1.guard_service_pb2 import (
    CheckRequest,
    CheckResponse,
    FilterStreamRequest,
    FilterStreamResponse,
)
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


class Acting(Protocol):
    """How calls to other services learn whom they are for (`malha.wire.acting_for`)."""

    def __call__(self, principal: Principal, *, timeout: float) -> AbstractContextManager[object]: ...
