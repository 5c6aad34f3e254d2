"""What bad input gets: a status, the field by its name, and not a line in the ledger. On both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack

import pytest
from google.rpc import code_pb2

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.errors import MalhaError
from malha.stack.secrets import Secrets
from malha.testing.ledgers import PostgresShelf
from malha.testing.money import Till, at_ceiling, call, limit, release, tool, used
from tests.integration.cost.test_cost_service import RemoteJudge, Start, asking

BAD = code_pb2.INVALID_ARGUMENT
UNKNOWN = code_pb2.NOT_FOUND
OTHERWISE = code_pb2.ALREADY_EXISTS
UNPRICED = code_pb2.FAILED_PRECONDITION


def priced(field: str, amount: int) -> pb.Reservation:
    asked = call("new", 1)
    setattr(asked.model, field, amount)
    return asked


def saying(path: str, text: str) -> pb.Reservation:
    """A reservation that says so in the field of that path."""
    asked = call("new", 1) if path.startswith("model.") else tool("new", 1)
    *outer, field = path.split(".")
    setattr(getattr(asked, outer[0]) if outer else asked, field, text)
    return asked


def usage(key: str, **counts: int) -> pb.Settlement:
    return pb.Settlement(key=key, usage=Usage(**counts))


def free(asked: pb.Reservation) -> pb.Settlement:
    return pb.Settlement(key="new", amount_microusd=0, free=asked)


def budget(**fields: object) -> Budget:
    wanted = limit(5)
    for field, value in fields.items():
        setattr(wanted, field, value)
    return wanted


def component(asked: pb.Reservation, component: pb.Component) -> pb.Reservation:
    asked.component = component
    return asked


# By field, the characters it holds at most.
TEXTS = {
    "key": 256,
    "run_id": 64,
    "agent": 64,
    "agent_version": 64,
    "model.provider": 64,
    "model.model": 256,
    "tool.tool": 256,
}
# Keys that are there before: "model" and "tool" are reserved, "settled" used 40 tokens, "paid" cost 7,
# "guessed" was settled provisionally and corrected, "gone" was released.
RESERVATIONS: list[tuple[str, pb.Reservation, int, str]] = [
    ("negative input", priced("input_tokens", -1), BAD, "model.input_tokens"),
    ("negative output", priced("max_output_tokens", -1), BAD, "model.max_output_tokens"),
    ("negative least output", priced("min_output_tokens", -1), BAD, "model.min_output_tokens"),
    ("overflowing input", priced("input_tokens", 2**62), BAD, "model.input_tokens"),
    ("overflowing output", priced("max_output_tokens", 2**62), BAD, "model.max_output_tokens"),
    ("least output above the most", priced("min_output_tokens", 5), BAD, "model.min_output_tokens"),
    ("negative tool price", tool("new", -1), BAD, "tool.price_microusd"),
    ("overflowing tool price", tool("new", 2**62), BAD, "tool.price_microusd"),
    ("nothing for a tool", tool("new", 0, agent_version="1"), BAD, "tool.price_microusd"),
    ("nothing for a model", call("new", 0), BAD, "model.input_tokens"),
    ("negative limit", call("new", 1, limit=-1), BAD, "run_limit_microusd"),
    ("negative further calls", call("new", 1, further=-1), BAD, "further_calls"),
    ("no key", call("", 1), BAD, "key"),
    ("no run", call("new", 1, run=""), BAD, "run_id"),
    *((f"too long a {field}", saying(field, "x" * (most + 1)), BAD, field) for field, most in TEXTS.items()),
    *((f"{field} that no text of a database holds", saying(field, "a\0"), BAD, field) for field in TEXTS),
    ("no price at all", pb.Reservation(key="new", run_id="r"), BAD, "priced"),
    (
        "no provider",
        pb.Reservation(key="new", run_id="r", model=pb.ModelCall(model="m")),
        BAD,
        "model.provider",
    ),
    ("unknown component", component(call("new", 1), 99), BAD, "component"),  # type: ignore[arg-type]  # no such one
    ("a tool's component for a model", component(call("new", 1), pb.COMPONENT_TOOL), BAD, "component"),
    ("an embedding priced as a tool", component(tool("new", 1), pb.COMPONENT_EMBEDDING), BAD, "component"),
    ("unknown model", call("new", 1, model="gpt-99"), UNPRICED, ""),
    ("a key of another call", call("model", 7), OTHERWISE, "key"),
    ("a key of another tool call", tool("tool", 51), OTHERWISE, "key"),
    ("a released key", call("gone", 100), OTHERWISE, "key"),
]
SETTLEMENTS: list[tuple[str, pb.Settlement, int, str]] = [
    ("unknown key", used("new", 1), UNKNOWN, "key"),
    ("unknown key at its ceiling", at_ceiling("new"), UNKNOWN, "key"),
    ("no key", used("", 1), BAD, "key"),
    ("a key that no text of a database holds", used("a\0", 1), BAD, "key"),
    ("no figures", pb.Settlement(key="model"), BAD, "figures"),
    ("negative usage", usage("model", input_tokens=-1), BAD, "usage.input_tokens"),
    ("negative output", usage("model", output_tokens=-1), BAD, "usage.output_tokens"),
    ("overflowing usage", usage("model", input_tokens=2**62), BAD, "usage"),
    ("an overflowing amount of usage", usage("model", output_tokens=10**15), BAD, "usage"),
    ("more cached than read", usage("model", cached_input_tokens=1), BAD, "usage.cached_input_tokens"),
    ("more thought than written", usage("model", reasoning_tokens=1), BAD, "usage.reasoning_tokens"),
    ("negative amount", pb.Settlement(key="tool", amount_microusd=-1), BAD, "amount_microusd"),
    ("overflowing amount", pb.Settlement(key="tool", amount_microusd=2**62), BAD, "amount_microusd"),
    ("an amount for a model", pb.Settlement(key="model", amount_microusd=1), BAD, "amount_microusd"),
    ("usage for a tool", usage("tool", input_tokens=1), BAD, "usage"),
    ("not released", pb.Settlement(key="model", release=False), BAD, "release"),
    ("not at its ceiling", pb.Settlement(key="model", at_ceiling=False), BAD, "at_ceiling"),
    (
        "negative saving",
        pb.Settlement(key="tool", amount_microusd=1, saved_microusd=-1),
        BAD,
        "saved_microusd",
    ),
    ("a priced tool as free", free(tool("new", 1)), BAD, "free.tool"),
    ("a model as free", free(call("new", 1)), BAD, "free.tool"),
    ("free under another key", free(tool("other", 0)), BAD, "free.key"),
    ("other usage", used("settled", 41), OTHERWISE, "usage"),
    ("a release of what was used", release("settled"), OTHERWISE, "release"),
    ("another amount", pb.Settlement(key="paid", amount_microusd=8), OTHERWISE, "amount_microusd"),
    ("a second correction", used("guessed", 41), OTHERWISE, "usage"),
    ("usage of what was released", used("gone", 1), OTHERWISE, "usage"),
]
BUDGETS: list[tuple[str, Budget, int, str]] = [
    ("unknown scope", budget(scope=99), BAD, "scope"),
    ("no scope", budget(scope=Scope.SCOPE_UNSPECIFIED), BAD, "scope"),
    ("unknown currency", budget(currency="EUR"), BAD, "currency"),
    ("unknown window", budget(window=99), BAD, "window"),
    ("negative limit", budget(limit_microusd=-1), BAD, "limit_microusd"),
    ("overflowing limit", budget(limit_microusd=2**62), BAD, "limit_microusd"),
    ("an id that does not fit", budget(scope_id="x"), BAD, "scope_id"),
    ("an id that no text of a database holds", limit(5, key="a\0"), BAD, "scope_id"),
    ("a window that does not fit", budget(scope=Scope.SCOPE_RUN, scope_id="*"), BAD, "window"),
    ("rolling for ever", budget(window=Window.WINDOW_TOTAL, rolling=True), BAD, "rolling"),
    ("no organisation", budget(scope=Scope.SCOPE_ORGANISATION), BAD, "scope"),
]
ADJUSTMENTS: list[tuple[str, pb.AdjustRequest, int, str]] = [
    ("unknown key", pb.AdjustRequest(id="i", key="new", amount_microusd=1, reason="r"), UNKNOWN, "key"),
    ("nothing", pb.AdjustRequest(id="i", key="paid", amount_microusd=0, reason="r"), BAD, "amount_microusd"),
    ("no reason", pb.AdjustRequest(id="i", key="paid", amount_microusd=1), BAD, "reason"),
    (
        "overflowing",
        pb.AdjustRequest(id="i", key="paid", amount_microusd=2**62, reason="r"),
        BAD,
        "amount_microusd",
    ),
    *(
        (
            f"{field} that no text of a database holds",
            pb.AdjustRequest(**{"id": "i", "key": "paid", "reason": "r", field: "a\0"}, amount_microusd=1),
            BAD,
            field,
        )
        for field in ("id", "key", "reason")
    ),
    (
        "more back than spent",
        pb.AdjustRequest(id="i", key="paid", amount_microusd=-8, reason="r"),
        BAD,
        "amount_microusd",
    ),
]


@pytest.fixture(params=["sqlite", "postgres"])
async def judge(
    request: pytest.FixtureRequest, start_cost: Start, mesh_secrets: Secrets
) -> AsyncIterator[RemoteJudge]:
    async with AsyncExitStack() as stack:
        url = ""
        if request.param == "postgres":
            shelf: PostgresShelf = request.getfixturevalue("shelf")
            url = (await stack.enter_async_context(shelf.book())).url
        running = await start_cost(database_url=url)
        stack.push_async_callback(running.kill)
        yield await stack.enter_async_context(asking(running.target, mesh_secrets))


async def test_bad_input_is_refused_by_field_and_writes_nothing(judge: RemoteJudge) -> None:
    """One service and one ledger for the whole table: none of it may show, at the end neither."""
    till = Till(judge)
    models = [call(key, 100) for key in ("model", "settled", "guessed", "gone")]
    await till.reserve(*models, tool("tool", 50), tool("paid", 7))
    paid = pb.Settlement(key="paid", amount_microusd=7)
    await till.settle(used("settled", 40), at_ceiling("guessed"), paid, release("gone"))
    await till.settle(used("guessed", 40))
    before = await judge.standing(till.principal), await judge.usage(till.principal, "", "")

    async def refused(case: str, asked: Awaitable[object], code: int, field: str) -> str | None:
        try:
            await asked
        except MalhaError as error:
            named = error.violations[0][0] if error.violations else ""
            return None if (error.code, named) == (code, field) else f"{case}: {error.code} {named}"
        return f"{case}: not refused"

    wrong = [
        await refused(case, till.reserve(call("beside", 1), asked), code, field and f"reserve[1].{field}")
        for case, asked, code, field in RESERVATIONS
    ]
    wrong += [
        await refused(
            case,
            till.reserve(call("beside", 1), settle=[used("model", 3), asked]),
            code,
            f"settle[1].{field}",
        )
        for case, asked, code, field in SETTLEMENTS
    ]
    wrong += [
        await refused(case, judge.settle(till.principal, [asked]), code, f"settle[0].{field}")
        for case, asked, code, field in SETTLEMENTS
    ]
    wrong += [
        await refused(case, judge.set_budget(till.principal, asked), code, f"budget.{field}")
        for case, asked, code, field in BUDGETS
    ]
    wrong += [
        await refused(case, judge.adjust(till.principal, asked), code, field)
        for case, asked, code, field in ADJUSTMENTS
    ]
    assert [one for one in wrong if one is not None] == []
    assert (await judge.standing(till.principal), await judge.usage(till.principal, "", "")) == before


async def test_a_key_of_another_tenant_is_as_unknown_as_any(judge: RemoteJudge) -> None:
    await Till(judge).reserve(call("k"))
    with pytest.raises(MalhaError) as refusal:
        await judge.settle(Principal(tenant="bia"), [used("k", 1)])
    assert (refusal.value.code, refusal.value.violations[0][0]) == (UNKNOWN, "settle[0].key")
