"""The last look before a tool runs: whether people let exactly this happen.

The hash of what they approved is made again here, from what is about to run: this registry's version of
the tool, the arguments as they will be handed over, the policy that leave was asked under. Whatever
changed on the way, by a fault or by somebody, is found here, and nothing runs.
"""

from __future__ import annotations

import hmac
from typing import Any

from malha.api.run.v1.record_pb2 import Clearance, Risk
from malha.api.tools.v1.tool_pb2 import Tool as Contract
from malha.errors import ErrorReason, MalhaError
from malha.run.call_hash import NoCanonicalFormError, call_hash
from malha.run.proposals import APPROVALS_NEEDED


def check_clearance(contract: Contract, arguments: Any, clearance: Clearance) -> None:
    """Return where the call may run.

    Args:
        arguments: as the tool will get them.
        clearance: by whose leave; empty where the caller knows of no risk.

    Raises:
        MalhaError: APPROVAL_MISMATCH where something else was approved, APPROVAL_REQUIRED where not
            enough different people did.
    """
    if clearance.hash and not hmac.compare_digest(clearance.hash, _hash(contract, arguments, clearance)):
        raise MalhaError(
            ErrorReason.ERROR_REASON_APPROVAL_MISMATCH,
            f"what was approved is not this call of {contract.name}; it was not made",
            metadata={"tool": contract.name},
        )
    needed = APPROVALS_NEEDED.get(max(contract.risk, clearance.risk, Risk.RISK_LOW), 0)
    enough = bool(clearance.preauthorisation) or len(set(clearance.approved_by)) >= needed
    if needed and not (clearance.hash and enough):
        raise MalhaError(
            ErrorReason.ERROR_REASON_APPROVAL_REQUIRED,
            f"{contract.name} needs people's leave, which it does not have; it was not called",
            metadata={"tool": contract.name},
        )


def _hash(contract: Contract, arguments: Any, clearance: Clearance) -> bytes:
    try:
        return call_hash(contract.name, contract.version, arguments, clearance.policy)
    except NoCanonicalFormError:
        return b""
