"""Beside the version before: it reads what this one writes, and this one what that one wrote.

`malha/testing/previous_version.py` says how the file beside this one is made.
"""

import importlib
import json
import pkgutil
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto
from google.protobuf.message import Message
from hypothesis import given

import malha.api
from malha.api.run.v1.record_pb2 import Record
from malha.run import Entry, fold
from malha.testing.journals import journals, stored
from malha.testing.previous_version import contract_of, message_class

WRITTEN = json.loads((Path(__file__).parent / "previous_version.json").read_text(encoding="utf-8"))
CONTRACT = contract_of(WRITTEN)
OURS = [file for file in CONTRACT.file if file.package.startswith("malha.")]
OLD_RECORD = message_class(CONTRACT, "malha.api.run.v1.Record")


def test_a_journal_of_the_version_before_folds_to_what_it_made_of_it() -> None:
    state = fold(stored([Record.FromString(bytes.fromhex(record)) for record in WRITTEN["journal"]]))
    assert {
        "status": int(state.status),
        "steps": [step.started.key for step in state.steps],
        "input_tokens": state.usage.input_tokens,
        "microusd": state.cost.amount_microusd,
    } == WRITTEN["folded"]


@given(journals())
def test_the_version_before_reads_all_it_knows_of_our_records_and_loses_nothing_of_the_rest(
    entries: list[Entry],
) -> None:
    event = OLD_RECORD.DESCRIPTOR.fields_by_name["events"].message_type
    assert event is not None
    known = {field.name for field in event.fields}
    for entry in entries:
        theirs = OLD_RECORD.FromString(entry.record.SerializeToString())
        assert Record.FromString(theirs.SerializeToString()) == entry.record
        for ours, seen in zip(entry.record.events, theirs.events, strict=True):  # type: ignore[attr-defined]
            kind = ours.WhichOneof("event")
            assert seen.WhichOneof("event") == (kind if kind in known else None)
        assert_equal_where_known(theirs, entry.record)


def assert_equal_where_known(theirs: Message, ours: Message) -> None:
    """Every field that the older message has says what the newer one says."""
    for field, value in theirs.ListFields():
        newer = getattr(ours, field.name)
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            assert value == newer
        elif field.is_repeated:
            for one, other in zip(value, newer, strict=True):
                assert_equal_where_known(one, other)
        else:
            assert_equal_where_known(value, newer)


def test_the_contract_only_grew() -> None:
    for module in pkgutil.walk_packages(malha.api.__path__, "malha.api."):
        importlib.import_module(module.name)
    pool = descriptor_pool.Default()
    for file in OURS:
        for message in file.message_type:
            still_there(message, f"{file.package}.{message.name}", pool)
        for enum in file.enum_type:
            values_still_there(enum, f"{file.package}.{enum.name}", pool)
        for service in file.service:
            now = pool.FindServiceByName(f"{file.package}.{service.name}").methods_by_name
            for method in service.method:
                assert method.name in now, f"{service.name}.{method.name}"
                assert f".{now[method.name].input_type.full_name}" == method.input_type
                assert f".{now[method.name].output_type.full_name}" == method.output_type


def still_there(message: DescriptorProto, name: str, pool: descriptor_pool.DescriptorPool) -> None:
    """Each field has its number, name, type and count."""
    now = DescriptorProto()
    pool.FindMessageTypeByName(name).CopyToProto(now)
    fields = {field.number: field for field in now.field}
    for field in message.field:
        found = fields.get(field.number)
        assert found is not None, f"{name}.{field.name} is gone"
        assert (found.name, found.type, found.label, found.type_name) == (
            field.name,
            field.type,
            field.label,
            field.type_name,
        ), f"{name}.{field.name}"
    for nested in message.nested_type:
        if not nested.options.map_entry:
            still_there(nested, f"{name}.{nested.name}", pool)
    for enum in message.enum_type:
        values_still_there(enum, f"{name}.{enum.name}", pool)


def values_still_there(enum: EnumDescriptorProto, name: str, pool: descriptor_pool.DescriptorPool) -> None:
    """Each value has its number."""
    now = pool.FindEnumTypeByName(name).values_by_name
    for value in enum.value:
        assert value.name in now, f"{name}.{value.name} is gone"
        assert now[value.name].number == value.number


def test_a_contract_that_lost_a_field_is_found() -> None:
    lost = DescriptorProto(name="Record")
    lost.field.add(name="once", number=4711)
    with pytest.raises(AssertionError, match="once is gone"):
        still_there(lost, "malha.api.run.v1.Record", descriptor_pool.Default())
