"""Names of a run: its id, its subject, and the keys its steps carry towards money and effects.

A caller's idempotency key never enters a subject: the run id is a hash over tenant and key, so equal
keys of two tenants never meet, and the same key of one tenant always finds the same run.
"""

from __future__ import annotations

import hashlib
import os
import re
from base64 import b32encode
from typing import NamedTuple

RUN_ID = re.compile(r"[a-z2-7]{52}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SUBJECT_PREFIX = "malha.run."
_DELTA_PREFIX = "malha.delta."


class StepKey(NamedTuple):
    """The parts of a step key. ``step`` and ``leg`` count from 1; ``epoch`` is a stream sequence."""

    tenant: str
    run_id: str
    step: int
    epoch: int
    leg: int


def run_id_for(tenant: str, idempotency_key: str | None) -> str:
    """The id of a run: 52 characters ``[a-z2-7]``.

    With a key the id is a function of tenant and key; without one it is 256 bits of chance. The byte
    between the parts keeps the two kinds, and any two splits of the same text, apart.
    """
    if idempotency_key is None:
        seed = tenant.encode() + b"\x01" + os.urandom(32)
    else:
        seed = tenant.encode() + b"\x00" + idempotency_key.encode()
    return b32encode(hashlib.sha256(seed).digest()).decode().rstrip("=").lower()


def erased_id(tenant: str, run_id: str) -> str:
    """The name under which a run's erasure is recorded: shaped as a run id, and no way back to it."""
    seed = tenant.encode() + b"\x02" + run_id.encode()
    return b32encode(hashlib.sha256(seed).digest()).decode().rstrip("=").lower()


def alert_id(tenant: str, *about: str) -> str:
    """The name of an alert, and of its record: the same for the same thing, shaped as a run id."""
    seed = tenant.encode() + b"\x03" + "\x00".join(about).encode()
    return b32encode(hashlib.sha256(seed).digest()).decode().rstrip("=").lower()


def subject(tenant: str, run_id: str) -> str:
    """``malha.run.<tenant>.<run>``. Raises ValueError for what is not one subject token each."""
    if not _TENANT.fullmatch(tenant) or not RUN_ID.fullmatch(run_id):
        raise ValueError("not a tenant and a run id")
    return f"{_SUBJECT_PREFIX}{tenant}.{run_id}"


def delta_subject(tenant: str, run_id: str) -> str:
    """``malha.delta.<tenant>.<run>``, where the run's texts are told while they are written. ValueError as
    `subject`."""
    return _DELTA_PREFIX + subject(tenant, run_id).removeprefix(_SUBJECT_PREFIX)


def step_key(tenant: str, run_id: str, step: int, epoch: int, leg: int) -> str:
    """``tenant/run/step/epoch/leg``: the identity of one attempt at one step."""
    return f"{tenant}/{run_id}/{step}/{epoch}/{leg}"


def parse_step_key(key: str) -> StepKey:
    """The parts of a step key; ValueError if it is none."""
    parts = key.split("/")
    if len(parts) != 5 or not _TENANT.fullmatch(parts[0]) or not RUN_ID.fullmatch(parts[1]):
        raise ValueError("not a step key")
    step, epoch, leg = (_counter(part) for part in parts[2:])
    if not step or not leg:
        raise ValueError("not a step key")
    return StepKey(parts[0], parts[1], step, epoch, leg)


def _counter(text: str) -> int:
    """A number in its one canonical spelling: no sign, no leading zero, no other script's digits."""
    if not text.isascii() or not text.isdigit() or (len(text) > 1 and text[0] == "0"):
        raise ValueError("not a step key")
    return int(text)
