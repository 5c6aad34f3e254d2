"""What an entry says: whose money, for what, at which price; and of people nothing."""

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import Component, Settlement
from malha.testing.ledgers import Book
from malha.testing.money import Till, call, tool
from malha_cost.judge import Judge

SAYS = (
    "tenant, key_id, run_id, key, agent, agent_version, component, provider, model, price_row,"
    " input_tokens, cached_tokens, output_tokens, reasoning_tokens, reserved, spent"
)


async def test_an_entry_says_whose_money_it_was_and_for_what(judge: Judge, books: Book) -> None:
    till = Till(judge, user="ana@example.org")
    asked = call("ana/r/1/1/1", 100, output=10, session="Ana's chat about her leave")
    asked.agent_version = "7"
    await till.reserve(asked)
    used = Usage(input_tokens=90, cached_input_tokens=40, output_tokens=5, reasoning_tokens=3)
    await till.settle(Settlement(key=asked.key, usage=used))
    same = ("ana", "key-1", "r", "ana/r/1/1/1", "a", "7", "model", "scripted", "m", "scripted/m@0001-01-01")
    assert await books.rows(f"SELECT {SAYS} FROM entries ORDER BY stage") == [  # noqa: S608  # a constant
        (*same, 100, 0, 10, 0, 200, 0),
        (*same, 90, 40, 5, 3, -200, 104),
    ]


async def test_a_user_and_a_session_stand_there_as_pseudonyms_of_their_tenant(
    judge: Judge, books: Book
) -> None:
    for tenant in ("ana", "bia"):
        await Till(judge, tenant, user="ana@example.org").reserve(call("k", 1, session="chat"))
        await Till(judge, tenant, user="ana@example.org").reserve(call("l", 1, session="chat"))
    named = await books.rows("SELECT DISTINCT tenant, user_id, session FROM entries")
    assert len(named) == 2, "the same name is the same pseudonym, in its tenant"
    assert len({user for _, user, _ in named} | {session for _, _, session in named}) == 4
    assert not any("ana@" in part or "chat" in part for row in named for part in row)


async def test_what_a_kept_answer_saved_is_kept_and_counts_nowhere(till: Till, books: Book) -> None:
    search = tool("k", 50)
    search.component = Component.COMPONENT_SEARCH
    await till.reserve(search)
    await till.settle(Settlement(key="k", amount_microusd=0, saved_microusd=50))
    rows = await books.rows("SELECT component, spent, saved FROM entries ORDER BY stage")
    assert rows == [("search", 0, 0), ("search", 0, 50)]
    assert await till.standing() == (0, 0)
