"""What is billed: a record for each entry that says what was used, under an id that never changes.

An entry is never changed, so neither is its record. What is found out later, a correction or an adjustment,
is an entry and so a record of its own; the sum of all records is what was spent.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode

from google.protobuf.timestamp_pb2 import Timestamp

from malha.api.cost.v1.metering_pb2 import MeteredUsage
from malha_cost.ledger import Entry


def record_id(entry: Entry) -> str:
    """The id of an entry's record, of 32 letters and digits: the first 160 bits of SHA-256 of what makes
    the entry the only one, its tenant, key and stage."""
    named = f"{entry.tenant}\x00{entry.key}\x00{entry.stage}"
    return b32encode(hashlib.sha256(named.encode()).digest()[:20]).decode().lower()


def record(sequence: int, entry: Entry) -> MeteredUsage:
    """The record of an entry that stands at ``sequence``."""
    seconds, microseconds = divmod(entry.at_us, 1_000_000)
    return MeteredUsage(
        id=record_id(entry),
        sequence=sequence,
        time=Timestamp(seconds=seconds, nanos=microseconds * 1000),
        day=entry.day,
        kind=entry.kind,
        tenant=entry.tenant,
        key=entry.key,
        key_id=entry.key_id,
        run_id=entry.run_id,
        agent=entry.agent,
        agent_version=entry.agent_version,
        component=entry.component,
        provider=entry.provider,
        model=entry.model,
        price_row=entry.price_row,
        input_tokens=entry.input_tokens,
        cached_input_tokens=entry.cached_tokens,
        output_tokens=entry.output_tokens,
        reasoning_tokens=entry.reasoning_tokens,
        amount_microusd=entry.spent,
        saved_microusd=entry.saved,
    )
