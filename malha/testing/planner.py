"""What a worker needs, in memory: models that say what they are told, a till, a toolbox, a guard.

Each keeps what it was asked. None of them leaves a safety out: money is reserved before it is spent,
an effect key runs once, a blocked word is withheld.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    Denied,
    Reserved,
    Settled,
    Settlement,
    SettleRequest,
    SettleResponse,
)
from malha.api.guard.v1.guard_service_pb2 import (
    CheckRequest,
    CheckResponse,
    FilterStreamRequest,
    FilterStreamResponse,
    Judgement,
)
from malha.api.run.v1.chat_pb2 import ChatMessage, Citation, Role, ToolCall
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.run.v1.record_pb2 import Action, Effect, Risk, StepOutcome, Verdict
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import (
    ExecuteRequest,
    ExecuteResponse,
    Resolution,
    ResolveRequest,
    ResolveResponse,
    ToolResult,
)
from malha.errors import ErrorReason, MalhaError
from malha_planner.ports import Listening, ModelReply
from malha_tools.clearing import check_clearance

_TURNS = 50
"""Of the event loop between two pieces of a text: enough for whoever listens to hand one on."""
MODEL_MICROUSD = 10
"""What a model call costs; its ceiling is ten times that."""


def says(text: str, *, citations: Sequence[Citation] = ()) -> ModelReply:
    """A model's answer."""
    message = ChatMessage(role=Role.ROLE_ASSISTANT, text=text)
    return ModelReply(message, Usage(input_tokens=7, output_tokens=3), citations)


def asks(*calls: tuple[str, dict[str, object]], text: str = "") -> ModelReply:
    """A model's wish for tools: (tool, arguments)."""
    wishes = [
        ToolCall(call_id=f"call-{place}", tool=tool, arguments_json=orjson.dumps(arguments).decode())
        for place, (tool, arguments) in enumerate(calls)
    ]
    message = ChatMessage(role=Role.ROLE_ASSISTANT, text=text, tool_calls=wishes)
    return ModelReply(message, Usage(input_tokens=7, output_tokens=3), finish="tool_calls")


class ScriptedModel:
    """Says the reply whose turn it is in the conversation, so a call made again gets the same one."""

    provider = "scripted"
    name = "m"
    is_llm = True

    def __init__(self) -> None:
        self.script: list[ModelReply] = []
        """By the number of its earlier turns that the model is shown."""
        self.failures: list[MalhaError] = []
        """Raised first, one a call."""
        self.shown: list[list[ChatMessage]] = []
        self.offered: list[list[str]] = []
        self.allowed: list[int] = []
        """Output tokens, by call."""
        self.entered = asyncio.Event()
        self.hold: asyncio.Event | None = None
        """Set to an Event: calls wait for it."""
        self.tells = False
        """Whether the provider itself tells the usage of what it said before `hold`."""
        self.said_before: list[str] = []
        """What is said of the text before `hold`, to whoever listens."""
        self.listened = 0
        """Calls with somebody who listened."""

    def count(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
        return sum(len(message.text) for message in messages) + len(tools)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        listening: Listening | None = None,
    ) -> ModelReply:
        del deadline_seconds
        self.allowed.append(max_output_tokens)
        self.shown.append(list(messages))
        self.offered.append([tool.name for tool in tools])
        self.entered.set()
        if listening is not None:
            self.listened += 1
            await self._speak(listening)
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        reply = self.script[sum(message.role == Role.ROLE_ASSISTANT for message in messages)]
        if listening is not None:
            listening.usage = None
            listening.hear(reply.message.text.removeprefix("".join(self.said_before)))
        return reply

    async def _speak(self, listening: Listening) -> None:
        """The pieces that were given to be said before anything else happens."""
        for piece in self.said_before:
            listening.usage, listening.told = Usage(input_tokens=7, output_tokens=1), self.tells
            listening.hear(piece)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def close(self) -> None:
        return


class MemoryLedger:
    """One tenant's budget. `spent` and `reserved` are micro-dollars."""

    def __init__(self, limit: int = 10**9) -> None:
        self.limit = limit
        self.entries: dict[str, tuple[int, int | None]] = {}
        """(reserved, settled or None) by key."""
        self.agents: dict[str, tuple[str, str]] = {}
        """Name and version of the agent by key."""
        self.spent = 0
        self.reserved = 0
        self.calls: list[str] = []
        self.fitting_output = 0
        """Output tokens that a model call is shortened to; zero grants what is asked."""
        self.reasons = False
        """Whether models think in tokens that they bill and do not show."""
        self.away = 0
        """How many calls to refuse as a service that is away."""
        self.refusal = ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
        """What they are refused with."""
        self.mute = False
        """Whether answers to `authorize` are lost on their way, what they say done."""

    def enter(self, key: str, reserved: int, settled: int | None) -> None:
        """Write an entry, in place of the one under the key."""
        for (held, spent), sign in ((self.entries.get(key, (0, 0)), -1), ((reserved, settled), 1)):
            self.spent += sign * (spent or 0)
            self.reserved += sign * (held if spent is None else 0)
        self.entries[key] = reserved, settled

    async def asked(self) -> bool:
        """Whether anyone asked for money."""
        return bool(self.calls)

    async def authorize(self, request: AuthorizeRequest) -> AuthorizeResponse:
        self._called("authorize")
        response = AuthorizeResponse(settled=[self._settle(one) for one in request.settle])
        wanted = {
            one.key: one.tool.price_microusd if one.HasField("tool") else 10 * MODEL_MICROUSD
            for one in request.reserve
        }
        if sum(wanted.values()) + self.spent + self.reserved > self.limit:
            budget = Budget(scope=Scope.SCOPE_TENANT, limit_microusd=self.limit)
            status = BudgetStatus(budget=budget, spent_microusd=self.spent, reserved_microusd=self.reserved)
            may_free = sum(wanted.values()) + self.spent <= self.limit
            response.denied.CopyFrom(
                Denied(budget=status, wanted_microusd=sum(wanted.values()), may_free=may_free)
            )
            return response
        self.agents |= {one.key: (one.agent, one.agent_version) for one in request.reserve}
        for key, amount in wanted.items():
            if key not in self.entries:
                self.enter(key, amount, None)
            held = Reserved(key=key, amount_microusd=amount, max_output_tokens=self.fitting_output)
            held.reasons = self.reasons
            response.reserved.append(held)
        if self.mute:
            raise MalhaError(ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, "the answer is lost")
        return response

    async def settle(self, request: SettleRequest) -> SettleResponse:
        self._called("settle")
        return SettleResponse(settled=[self._settle(one) for one in request.settle])

    def _called(self, name: str) -> None:
        if self.away > 0:
            self.away -= 1
            raise MalhaError(self.refusal, "cost is away")
        self.calls.append(name)

    def _settle(self, settlement: Settlement) -> Settled:
        if settlement.key not in self.entries and settlement.release:
            self.enter(settlement.key, 0, 0)
        if settlement.key not in self.entries and settlement.HasField("free"):
            assert not settlement.free.tool.price_microusd, "what costs money is reserved first"
            self.enter(settlement.key, 0, None)
            self.agents[settlement.key] = settlement.free.agent, settlement.free.agent_version
        if settlement.key not in self.entries:
            raise MalhaError(ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND, "nothing was reserved")
        reserved, settled = self.entries[settlement.key]
        amount = {
            "usage": MODEL_MICROUSD,
            "amount_microusd": settlement.amount_microusd,
            "at_ceiling": reserved,
            "release": 0,
        }[settlement.WhichOneof("figures") or "release"]
        if settled is None or not settlement.at_ceiling:
            self.enter(settlement.key, reserved, amount)
        answer = Settled(key=settlement.key)
        answer.cost.amount_microusd = self.entries[settlement.key][1] or 0
        answer.cost.reference_microusd = 2 * answer.cost.amount_microusd
        return answer


ToolFunction = Callable[[dict[str, object]], Awaitable[ToolResult]]


def found(text: str, *, citations: Sequence[Citation] = ()) -> ToolResult:
    """A tool's result."""
    return ToolResult(outcome=StepOutcome.STEP_OUTCOME_OK, text=text, citations=citations)


class MemoryToolbox:
    """Tools that are coroutine functions, with effect records."""

    def __init__(self) -> None:
        self._tools: dict[str, tuple[Tool, ToolFunction]] = {}
        self.ran: list[tuple[str, str]] = []
        """(key, tool) of every call that reached a tool."""
        self.records: dict[str, ToolResult | None] = {}
        """Results by effect key; None: begun, outcome unknown."""
        self.tombstones: set[str] = set()

    def add(
        self,
        name: str,
        function: ToolFunction,
        *,
        effect: Effect = Effect.EFFECT_READ,
        price: int = 0,
        harmless: bool = True,
        risk: Risk = Risk.RISK_UNSPECIFIED,
        version: str = "1",
    ) -> None:
        """Offer a tool."""
        tool = Tool(
            name=name,
            version=version,
            description=name,
            input_schema_json='{"type": "object"}',
            effect=effect,
            price_microusd=price,
            harmless=harmless,
            risk=risk,
        )
        tool.timeout.seconds = 10
        self._tools[name] = tool, function

    async def list(self) -> Sequence[Tool]:
        return [tool for tool, _ in self._tools.values()]

    async def execute(self, request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
        del timeout
        if request.key in self.tombstones:
            raise MalhaError(ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED, "never")
        if request.tool not in request.allowed_tools:
            raise MalhaError(ErrorReason.ERROR_REASON_TOOL_NOT_FOUND, "no such tool")
        if (recorded := self.records.get(request.key)) is not None:
            return ExecuteResponse(result=recorded)
        if request.key in self.records:
            raise MalhaError(ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN, "it began")
        tool, function = self._tools[request.tool]
        arguments = orjson.loads(request.arguments_json)
        check_clearance(tool, arguments, request.clearance)
        if tool.effect == Effect.EFFECT_ONCE:
            self.records[request.key] = None
        self.ran.append((request.key, request.tool))
        result = await function(arguments)
        if not result.price_microusd:
            result.price_microusd = tool.price_microusd
        self.records[request.key] = result
        return ExecuteResponse(result=result)

    async def resolve(self, request: ResolveRequest) -> ResolveResponse:
        if request.key not in self.records:
            self.tombstones.add(request.key)
            return ResolveResponse(resolution=Resolution.RESOLUTION_TOMBSTONED)
        result = self.records[request.key]
        if result is None:
            return ResolveResponse(resolution=Resolution.RESOLUTION_UNKNOWN)
        return ResolveResponse(resolution=Resolution.RESOLUTION_RESULT, result=result)

    async def erase(self, run_id: str) -> None:
        """Forget what ran for a run, as `malha_planner.ports.Effects`."""
        self.records = {key: result for key, result in self.records.items() if f"/{run_id}/" not in key}


class WordGuard:
    """Blocks texts with "poison" in them and masks the word "secret"."""

    def __init__(self) -> None:
        self.checked: list[CheckRequest] = []
        self.streamed = 0
        """Parts of texts that were given to be filtered."""
        self.deaf = False
        """Whether streams are refused."""

    async def check(self, request: CheckRequest) -> CheckResponse:
        self.checked.append(request)
        return CheckResponse(judgements=[self._judge(text) for text in request.texts])

    async def filter(
        self, requests: AsyncIterator[FilterStreamRequest]
    ) -> AsyncGenerator[FilterStreamResponse, None]:
        """Lets whole words through; a block takes back what was let through."""
        text = through = ""
        async for request in requests:
            self.streamed += 1
            if self.deaf:
                raise MalhaError(ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, "the guard is away")
            text += request.text
            known = self._judge(text[: text.rfind(" ") + 1])
            if known.verdict.action == Action.ACTION_BLOCK:
                known.verdict.streamed = bool(through)
                yield FilterStreamResponse(text=known.text, reset=bool(through), judgement=known)
                return
            yield FilterStreamResponse(text=known.text.removeprefix(through))
            through = known.text
        whole = self._judge(text)
        whole.verdict.streamed = bool(through)
        rest = whole.text.removeprefix(through)
        yield FilterStreamResponse(text=rest, reset=not whole.text.startswith(through), judgement=whole)

    @staticmethod
    def _judge(text: str) -> Judgement:
        if "poison" in text:
            verdict = Verdict(action=Action.ACTION_BLOCK, rules=["poison"], policy="v1")
            return Judgement(verdict=verdict, text="[withheld]", message="withheld by policy")
        if "secret" in text:
            verdict = Verdict(action=Action.ACTION_MASK, rules=["secret"], policy="v1")
            return Judgement(verdict=verdict, text=text.replace("secret", "[masked]"))
        return Judgement(verdict=Verdict(action=Action.ACTION_ALLOW, policy="v1"), text=text)


class MemoryDeltas:
    """Deltas to whoever listens in this process; all of them are kept as well."""

    def __init__(self) -> None:
        self.told: list[Delta] = []
        self._listeners: dict[asyncio.Queue[Delta], tuple[str, str]] = {}

    async def publish(self, delta: Delta) -> None:
        self.told.append(delta)
        for heard, run in self._listeners.items():
            if run == (delta.tenant, delta.run_id):
                heard.put_nowait(delta)

    @asynccontextmanager
    async def listen(self, tenant: str, run_id: str) -> AsyncIterator[AsyncIterator[Delta]]:
        heard: asyncio.Queue[Delta] = asyncio.Queue()
        self._listeners[heard] = (tenant, run_id)

        async def deltas() -> AsyncIterator[Delta]:
            while True:
                yield await heard.get()

        try:
            yield deltas()
        finally:
            del self._listeners[heard]


@dataclass
class MemoryItem:
    """A work item that keeps what is said of it."""

    tenant: str
    run_id: str
    item: int = 1
    delivery: int = 1
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    accepted: int = 0
    still_queued: set[int] = field(default_factory=set)
    acks: int = 0
    beats: int = 0
    given_back: int = 0
    rests: int = 0
    crowded: bool = False
    """Whether too many rest already."""

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        if self.crowded:
            raise MalhaError(ErrorReason.ERROR_REASON_OVERLOADED, "too many runs wait already")
        self.rests += 1
        yield

    async def ack(self) -> None:
        self.acks += 1

    async def in_progress(self) -> None:
        self.beats += 1

    async def give_back(self) -> None:
        self.given_back += 1

    async def queued(self, item: int) -> bool:
        return item in self.still_queued

    @property
    def silent(self) -> bool:
        """Nothing was sent for it."""
        return self.acks == self.beats == self.given_back == 0


class Crash(BaseException):
    """The process dies here: nothing that handles errors handles this."""


class CrashAt:
    """Boundaries at which the worker dies: at the `times`-th reach of `name`."""

    def __init__(self, name: str, times: int = 1) -> None:
        self.name = name
        self.left = times

    async def reach(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                raise Crash(name)


class HoldAt:
    """Boundaries at which the worker stands still until it is let go: a paused process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def reach(self, name: str) -> None:
        if name == self.name and not self.go_on.is_set():
            self.reached.set()
            await self.go_on.wait()
