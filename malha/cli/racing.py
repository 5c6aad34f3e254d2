"""A race for money: many tasks in many processes want calls of a budget that pays for few of them.

``race`` sets budgets of random scopes, windows and sizes for a new tenant, and lets tasks reserve and
settle calls at one price until nobody can have another. Then it counts what was granted, and asks what
was spent: not a micro-dollar above the tightest limit, and not as much as one call below it. It speaks to
the cost service as the planner does, and asks again where a process of it died; each worker process
(``python -m malha.cli.racing``) takes a heat as a line of JSON and answers with one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from malha import ids
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, Scope, Window
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.errors import ErrorReason, MalhaError
from malha.telemetry import logs
from malha.wire import Identity, Peer, acting_for

CALLER = "planner"
_SECONDS = 60.0
_MODEL = "openai", "gpt-4o-mini"  # it has a price on every mesh; nobody asks it anything
_TOKENS = 1_000
_RELEASED = 0.1
"""Share of the granted calls that are given back unmade."""
_RACER = "racer"
"""Name of the key, the user, the session and, where runs are bounded, the run that all tasks share."""
_NAMED = {
    Scope.SCOPE_KEY: _RACER,
    Scope.SCOPE_USER: _RACER,
    Scope.SCOPE_SESSION: _RACER,
    Scope.SCOPE_RUN: "*",
}
_SCOPES = (*_NAMED, Scope.SCOPE_TENANT, Scope.SCOPE_ORGANISATION)
_ROLLING = (Window.WINDOW_DAY, Window.WINDOW_MONTH)
_WINDOWS = (*_ROLLING, Window.WINDOW_TOTAL)
_MOST_SCOPES = 3


@dataclass
class Outcome:
    """What all rounds of a race came to."""

    rounds: int = 0
    overshoot_microusd: int = 0
    unused_calls: int = 0
    """Calls that would still have fitted when nobody could have another, of the worst round."""
    denied: int = 0
    granted: int = 0


async def race(
    target: str,
    secrets: Path,
    *,
    rounds: int,
    processes: int,
    tasks: int = 500,
    most_calls: int = 100,
    tell: Callable[[], object] = lambda: None,
) -> Outcome:
    """Race the cost service at ``target``; what came of it.

    Args:
        secrets: folder with the planner's key.
        rounds: budgets that are raced for, one after the other.
        processes: of workers; the tasks of a round are shared among them.
        most_calls: a budget pays for a fifth of so many calls at least.
        tell: called after each round.
    """
    logs.configure("race", "error")  # what is said of a process that died would stand among the figures
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(_service(target, secrets))
        workers = [await stack.enter_async_context(_worker(target, secrets)) for _ in range(processes)]
        for _ in range(rounds):
            await _round(service, workers, tasks, most_calls, outcome)
            tell()
    return outcome


async def _round(
    service: _Service, workers: Sequence[_Worker], tasks: int, most_calls: int, outcome: Outcome
) -> None:
    name = f"eval-{ids.ulid().lower()}"
    principal = Principal(
        tenant=name, key_id=_RACER, subject=_RACER, tier=Tier.TIER_ENTERPRISE, scopes=["admin", "operator"]
    )
    policy = BudgetPolicy(organisation=name, brake_percent=100)
    await service.call(principal, service.stub.SetBudgetPolicy, pb.SetBudgetPolicyRequest(policy=policy))
    price = await _price(service, principal)
    scopes = random.sample(_SCOPES, random.randint(1, _MOST_SCOPES))  # noqa: S311 - a draw, no secret
    budgets = [_drawn(scope, price, most_calls) for scope in scopes]
    for budget in budgets:
        await service.call(principal, service.stub.SetBudget, pb.SetBudgetRequest(budget=budget))
    heat = {
        "principal": principal.SerializeToString().hex(),
        "tasks": -(-tasks // len(workers)),
        "run": _RACER if Scope.SCOPE_RUN in scopes else "",
    }
    granted = 0
    for answer in await asyncio.gather(*(worker.heat(heat) for worker in workers)):
        granted += answer["granted"]
        outcome.denied += answer["denied"]
    standing = await service.call(principal, service.stub.GetBudget, pb.GetBudgetRequest())
    spent = max(granted * price, *(status.spent_microusd for status in standing.statuses))
    tightest = min(budget.limit_microusd for budget in budgets)
    outcome.rounds += 1
    outcome.granted += granted
    outcome.overshoot_microusd += max(0, spent - tightest)
    outcome.unused_calls = max(outcome.unused_calls, (tightest - granted * price) // price)


def _drawn(scope: Scope, price: int, most_calls: int) -> Budget:
    """A budget of that scope which pays for a random number of calls and a part of one."""
    window = Window.WINDOW_TOTAL
    midnight_is_far = datetime.now(UTC).date() == (datetime.now(UTC) + timedelta(minutes=2)).date()
    if scope != Scope.SCOPE_RUN and midnight_is_far:  # else a calendar's budget would be there twice
        window = random.choice(_WINDOWS)  # noqa: S311 - a draw, no secret
    calls = random.randint(most_calls // 5, most_calls)  # noqa: S311 - likewise
    return Budget(
        scope=scope,
        scope_id=_NAMED.get(scope, ""),
        window=window,
        limit_microusd=calls * price + random.randrange(price),  # noqa: S311 - likewise
        rolling=window in _ROLLING and random.random() < 0.5,  # noqa: S311 - likewise
    )


async def _price(service: _Service, principal: Principal) -> int:
    """What a call is reserved at, and costs."""
    key = f"{principal.tenant}/price/1/1/1"
    answer = await service.authorize(principal, [], [_call(key, "price")])
    await service.authorize(principal, [pb.Settlement(key=key, release=True)], [])
    return int(answer.reserved[0].amount_microusd)


def _call(key: str, run: str) -> pb.Reservation:
    provider, model = _MODEL
    call = pb.ModelCall(provider=provider, model=model, input_tokens=_TOKENS)
    return pb.Reservation(
        key=key, run_id=run, agent=_RACER, run_limit_microusd=10**12, model=call, session_id=_RACER
    )


class _Service:
    """The cost service, asked as the planner asks it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.stub: Any = CostServiceStub(peer.channel)

    async def call(self, principal: Principal, method: Any, request: Any) -> Any:
        with acting_for(principal, timeout=_SECONDS) as call:
            while True:
                try:
                    return await self._peer.call(method, request, timeout=_SECONDS, idempotent=True)
                except MalhaError as error:
                    away = error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
                    if not (away and call.remaining()):
                        raise
                await asyncio.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - jitter

    async def authorize(
        self, principal: Principal, settle: Sequence[pb.Settlement], reserve: Sequence[pb.Reservation]
    ) -> pb.AuthorizeResponse:
        request = pb.AuthorizeRequest(settle=settle, reserve=reserve)
        answer: pb.AuthorizeResponse = await self.call(principal, self.stub.Authorize, request)
        return answer


@asynccontextmanager
async def _service(target: str, secrets: Path) -> AsyncIterator[_Service]:
    peer = Peer("cost", target, identity=Identity.load(secrets, CALLER))
    try:
        yield _Service(peer)
    finally:
        await peer.close()


class _Worker:
    """A process that runs heats."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def heat(self, heat: dict[str, Any]) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(heat).encode() + b"\n")
        answer: dict[str, int] = json.loads(await self._process.stdout.readline() or b"null")
        if answer is None:
            raise RuntimeError("a worker of the race died")
        return answer


@asynccontextmanager
async def _worker(target: str, secrets: Path) -> AsyncIterator[_Worker]:
    command = (sys.executable, "-m", "malha.cli.racing", target, str(secrets))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the race, which ends its workers
    )
    try:
        yield _Worker(process)
    except asyncio.CancelledError:
        process.kill()
        raise
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _task(service: _Service, principal: Principal, shared_run: str) -> tuple[int, int]:
    """Have calls until there are none; how many were granted, and how many denied for good."""
    run, granted = shared_run or ids.ulid().lower(), 0
    while True:
        key = f"{principal.tenant}/{run}/{random.getrandbits(48)}/1/1"
        answer = await service.authorize(principal, [], [_call(key, run)])
        if answer.HasField("denied"):
            if not answer.denied.may_free:
                return granted, 1
            await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter
            continue
        if random.random() < _RELEASED:  # noqa: S311 - a draw
            await service.authorize(principal, [pb.Settlement(key=key, release=True)], [])
            continue
        granted += 1
        usage = Usage(input_tokens=_TOKENS)
        await service.authorize(principal, [pb.Settlement(key=key, usage=usage)], [])


async def _serve(target: str, secrets: Path) -> None:
    logs.configure("race", "error")
    async with _service(target, secrets) as service:
        while line := await asyncio.to_thread(sys.stdin.readline):
            heat = json.loads(line)
            principal = Principal.FromString(bytes.fromhex(heat["principal"]))
            tasks = (_task(service, principal, heat["run"]) for _ in range(heat["tasks"]))
            counts = await asyncio.gather(*tasks)
            answer = {"granted": sum(c[0] for c in counts), "denied": sum(c[1] for c in counts)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
