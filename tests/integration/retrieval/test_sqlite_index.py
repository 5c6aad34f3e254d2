"""The embedded index on a real file: one tenant's rows, whole documents, any question."""

from __future__ import annotations

import asyncio
import sqlite3
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestStatus, Passage
from malha.errors import ErrorReason, MalhaError
from malha.sqlite import Database, Work
from malha.testing.clock import FakeClock
from malha_retrieval.adapters.sqlite_index import MIGRATIONS, SqliteIndex
from malha_retrieval.ingestion import ingest
from malha_retrieval.intake import MOST_PASSAGES
from malha_retrieval.terms import terms


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "retrieval.db", MIGRATIONS, durable=False)
    yield database
    await database.close()


@pytest.fixture
def index(database: Database) -> SqliteIndex:
    return SqliteIndex(database, FakeClock())


async def put(index: SqliteIndex, tenant: str, name: str, text: str) -> IngestStatus:
    return (await ingest(index, tenant, Document(name=name, text=text))).status


async def find(index: SqliteIndex, tenant: str, query: str, limit: int = 5) -> list[Passage]:
    return list(await index.search(tenant, terms(query), limit))


async def test_a_passage_is_found_with_document_and_section(index: SqliteIndex) -> None:
    await put(index, "acme", "docs/money.md", "# Budgets\n\n## Reservation\n\nMoney is held before a call.\n")
    (passage,) = await find(index, "acme", "When is money held?")
    assert (passage.document, passage.section) == ("docs/money.md", "Budgets > Reservation")
    assert passage.text == "Money is held before a call."
    assert passage.score > 0


async def test_the_same_document_again_is_unchanged_and_stored_once(index: SqliteIndex) -> None:
    assert await put(index, "acme", "a.md", "# A\n\nzebra\n") == IngestStatus.INGEST_STATUS_STORED
    assert await put(index, "acme", "a.md", "# A\n\nzebra\n") == IngestStatus.INGEST_STATUS_UNCHANGED
    assert len(await find(index, "acme", "zebra")) == 1


async def test_the_old_words_of_a_changed_document_are_not_found_any_more(index: SqliteIndex) -> None:
    await put(index, "acme", "a.md", "# Animals\n\nThe zebra sleeps.\n")
    assert await put(index, "acme", "a.md", "# Animals\n\nThe giraffe sleeps.\n") == (
        IngestStatus.INGEST_STATUS_STORED
    )
    assert await find(index, "acme", "zebra") == []
    assert len(await find(index, "acme", "giraffe")) == 1


async def test_a_document_of_too_many_passages_leaves_the_old_one_whole(index: SqliteIndex) -> None:
    await put(index, "acme", "a.md", "zebra")
    status = await put(index, "acme", "a.md", "# Title\n\ngiraffe\n\n" * (MOST_PASSAGES + 1))
    assert status == IngestStatus.INGEST_STATUS_REFUSED
    assert len(await find(index, "acme", "zebra")) == 1
    assert await find(index, "acme", "giraffe") == []


async def test_tenants_with_the_same_documents_find_their_own_alone(index: SqliteIndex) -> None:
    for tenant in ("acme", "acme-2", "ACME", "t", "scope"):
        await put(index, tenant, "a.md", f"# Plan\n\nThe zebra belongs to owner {tenant}.\n")
    for tenant in ("acme", "acme-2", "ACME", "t", "scope"):
        (passage,) = await find(index, tenant, "zebra owner acme", 50)
        assert passage.text.endswith(f"owner {tenant}.")
    assert await find(index, "nobody", "zebra", 50) == []


async def test_replacing_a_document_leaves_other_tenants_alone(index: SqliteIndex) -> None:
    await put(index, "one", "a.md", "zebra")
    await put(index, "two", "a.md", "zebra")
    await put(index, "one", "a.md", "giraffe")
    assert len(await find(index, "two", "zebra")) == 1


Form: TypeAlias = Literal["NFC", "NFD"]
ATTACKS = [
    '" OR scope : "',
    "zebra) OR (scope:t",
    "NEAR(a b)",
    "text : *",
    "zebra'; DROP TABLE passages; --",
    "{scope} : t",
    "a AND NOT b",
    "^zebra",
    "-zebra",
    "\0zebra",
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.one_of(
        st.sampled_from(ATTACKS), st.text(max_size=80), st.text('"*^:(){}-+ANDORNOT ', max_size=40)
    )
)
def test_nothing_a_person_types_is_query_syntax(tmp_path_factory: pytest.TempPathFactory, query: str) -> None:
    async def ask() -> None:
        path = tmp_path_factory.mktemp("index") / "retrieval.db"
        database = await Database.open(path, MIGRATIONS, durable=False)
        try:
            index = SqliteIndex(database, FakeClock())
            await put(index, "mine", "m.md", "# Mine\n\nplain words of mine\n")
            await put(index, "theirs", "t.md", "# Theirs\n\nzebra scope text NEAR AND OR NOT a b t\n")
            for passage in await find(index, "mine", query, 50):
                assert passage.document == "m.md"
        finally:
            await database.close()

    asyncio.run(ask())


async def test_portuguese_is_found_with_and_without_accents_and_in_the_plural(index: SqliteIndex) -> None:
    await put(index, "acme", "a.md", "# Ações\n\nAs aprovações de orçamento são registradas.\n")
    for query in ("aprovação", "aprovacao", "aprovações", "ORÇAMENTOS", "ação"):
        assert len(await find(index, "acme", query)) == 1, query


@pytest.mark.parametrize(
    "word",
    ["ação", "m²", "CO₂", "1ª", "Hauptstraße", "ﬁle", "½", "İstanbul", "ΟΔΟΣ", "हिन्दी", "a_b"],
)
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
async def test_a_word_finds_itself_however_its_accents_are_encoded(
    index: SqliteIndex, word: str, stored: Form, asked: Form
) -> None:
    await put(index, "acme", "a.md", f"The word is {unicodedata.normalize(stored, word)}, here.")
    assert len(await find(index, "acme", unicodedata.normalize(asked, word))) == 1
    assert len(await find(index, "acme", unicodedata.normalize(asked, word.lower()))) == 1


@pytest.mark.parametrize("word", ["한국어", "が"])
async def test_signs_that_are_composed_are_found_as_they_are_written(index: SqliteIndex, word: str) -> None:
    await put(index, "acme", "a.md", f"The word is {word}, here.")
    assert len(await find(index, "acme", word)) == 1
    assert len(await find(index, "acme", unicodedata.normalize("NFD", word))) == 1


@pytest.mark.parametrize(
    "word",
    ["coração", "1º", "2ª", "m²", "Straße", "naïve", "snake_case", "йогурт", "한국", "ΣΊΣΥΦΟΣ", "ﬁnança"],
)
async def test_a_word_is_found_as_it_stands_in_the_document(index: SqliteIndex, word: str) -> None:
    await put(index, "acme", "a.txt", f"zebra {word}.")
    assert len(await find(index, "acme", word)) == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_composed_and_decomposed_letters_are_the_same(index: SqliteIndex, form: Form) -> None:
    await put(index, "acme", "a.txt", unicodedata.normalize(form, "A ação do coração."))
    for query in ("ação", "ações", "coração"):
        for typed in ("NFC", "NFD"):
            assert len(await find(index, "acme", unicodedata.normalize(typed, query))) == 1, (query, typed)


async def test_a_word_in_a_heading_weighs_more_than_one_in_the_text(index: SqliteIndex) -> None:
    await put(index, "acme", "a.md", "# Other\n\nThe breaker is mentioned among other parts here.\n")
    await put(index, "acme", "b.md", "# Breaker\n\nIt opens after failures of a part in a row here.\n")
    assert [p.section for p in await find(index, "acme", "breaker")] == ["Breaker", "Other"]


async def test_a_search_answers_at_most_the_limit_best_first(index: SqliteIndex) -> None:
    for number in range(20):
        await put(index, "acme", f"{number}.md", "zebra " * (number + 1))
    passages = await find(index, "acme", "zebra", 7)
    assert len(passages) == 7
    assert [p.score for p in passages] == sorted((p.score for p in passages), reverse=True)


async def test_a_full_disk_leaves_the_old_document_whole_and_is_logged_and_passes(
    index: SqliteIndex, database: Database
) -> None:
    await put(index, "acme", "a.md", "# A\n\nzebra\n")

    def pages(most: str) -> Work[None]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count={most}").close()

    await database.write(pages("1"))  # as many as there are
    larger = "# A\n\n" + "giraffe " * 100_000
    with structlog.testing.capture_logs() as lines, pytest.raises(MalhaError) as refusal:
        await put(index, "acme", "a.md", larger)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert "full" in lines[0]["error"]
    assert "full" not in refusal.value.message
    assert len(await find(index, "acme", "zebra")) == 1
    assert await find(index, "acme", "giraffe") == []

    await database.write(pages("1000000"))
    assert await put(index, "acme", "a.md", larger) == IngestStatus.INGEST_STATUS_STORED
    assert await find(index, "acme", "zebra") == []


async def test_an_index_that_others_have_locked_is_away_for_who_asks_too(
    index: SqliteIndex, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(_: Work[object]) -> object:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(database, "read", locked)
    with structlog.testing.capture_logs() as lines, pytest.raises(MalhaError) as refusal:
        await find(index, "acme", "zebra")
    assert refusal.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert [line["error"] for line in lines] == ["database is locked"]


async def test_readers_see_the_old_document_or_the_new_never_a_part(index: SqliteIndex) -> None:
    versions = ["# V\n\n" + "\n\n".join([f"## S{n}\n\nzebra {word}" for n in range(20)]) for word in "ab"]
    await put(index, "acme", "v.md", versions[0])

    async def write() -> None:
        for number in range(20):
            await put(index, "acme", "v.md", versions[(number + 1) % 2])

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        while not writing.done():
            words = {p.text.split()[-1] for p in await find(index, "acme", "zebra", 50)}
            assert len(words) == 1
            assert len(await find(index, "acme", "zebra", 50)) == 20
