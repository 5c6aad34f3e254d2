"""An archived journal in pages."""

from __future__ import annotations

import pytest

from malha.api.run.v1.archive_pb2 import ArchivedRecord
from malha.errors import ErrorReason, MalhaError
from malha_planner.archived_pages import page


def test_the_pages_of_a_journal_of_16_mib_are_all_of_it_in_order() -> None:
    records = [ArchivedRecord(sequence=3 * n, record=bytes(300_000)) for n in range(1, 56)]
    records[7].record = bytes(900_000)
    found: list[int] = []
    after, more, pages = 0, True, 0
    while more:
        answer = page(records, after=after)
        assert answer.ByteSize() < 2 * 1024 * 1024
        found += [record.sequence for record in answer.journal.records]
        after, more, pages = found[-1], answer.more, pages + 1
    assert found == [record.sequence for record in records]
    assert pages > 10


def test_a_record_larger_than_a_page_is_a_page() -> None:
    answer = page([ArchivedRecord(sequence=1, record=bytes(3 << 20)), ArchivedRecord(sequence=2)], after=0)
    assert [record.sequence for record in answer.journal.records] == [1]
    assert answer.more


def test_what_is_not_in_the_archive_is_not_found() -> None:
    with pytest.raises(MalhaError) as refused:
        page([], after=0)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND
