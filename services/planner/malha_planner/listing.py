"""Pages of the runs table: a conjunction of equalities in, the newest runs out.

The filter is the plainest part of AIP-160: `status = "FAILED" AND agent = "docs"`. A page token is
opaque to callers and bound to its filter: with another filter it would skip runs silently.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.planner.v1.planner_service_pb2 import (
    DeadRow,
    ListDeadRunsRequest,
    ListDeadRunsResponse,
    ListRunsRequest,
    ListRunsResponse,
)
from malha.errors import ErrorReason, MalhaError, invalid
from malha_planner.ports import RunsTable

FIELDS = ("status", "agent", "session_id", "key_id", "open")
_DEFAULT_SIZE = 20
_SEQUENCES = 2**63  # as many as a database can count
_STATUSES = [name.removeprefix("RUN_STATUS_") for name in RunStatus.keys()[1:]]
_TERM = re.compile(r'\s*(\w+)\s*=\s*(?:"([^"\\]*)"|([\w.-]+))\s*')
_AND = re.compile(r"\bAND\b")


def parse_filter(text: str) -> dict[str, str]:
    """The equalities of a filter, by field. Raises FIELD_INVALID."""
    where: dict[str, str] = {}
    if not text.strip():
        return where
    end = 0
    while True:
        term = _TERM.match(text, end)
        if term is None:
            raise invalid("filter", 'is a conjunction such as: status = "SUCCEEDED" AND agent = "default"')
        field, quoted, bare = term.groups()
        if field not in FIELDS:
            raise invalid("filter", f"{field} is none of {', '.join(FIELDS)}")
        if field in where:
            raise invalid("filter", f"{field} stands there twice")
        where[field] = bare if quoted is None else quoted
        end = term.end()
        if end == len(text):
            break
        conjunction = _AND.match(text, end)
        if conjunction is None:
            raise invalid("filter", f"AND is expected at character {end + 1}")
        end = conjunction.end()
    if "status" in where and where["status"] not in _STATUSES:
        raise invalid("filter", f"status is one of {', '.join(_STATUSES)}")
    if where.get("open", "true") not in ("true", "false"):
        raise invalid("filter", "open is true or false")
    return where


async def list_runs(table: RunsTable, tenant: str, request: ListRunsRequest) -> ListRunsResponse:
    """The page of the tenant's runs that the request asks for. Raises FIELD_INVALID."""
    where = parse_filter(request.filter)
    size = request.page_size or _DEFAULT_SIZE
    before = _read_token(request.page_token, where) if request.page_token else None
    rows = await table.page(tenant, where, before=before, limit=size + 1)
    response = ListRunsResponse(rows=[row for _, row in rows[:size]])
    if len(rows) > size:
        response.next_page_token = _token(rows[size - 1][0], where)
    return response


async def list_dead(
    table: RunsTable, principal: Principal, request: ListDeadRunsRequest
) -> ListDeadRunsResponse:
    """The page of dead runs, of one tenant or of all. Raises SCOPE_MISSING, FIELD_INVALID."""
    if "operator" not in principal.scopes:
        raise MalhaError(
            ErrorReason.ERROR_REASON_SCOPE_MISSING,
            'dead runs are for the scope "operator"',
            metadata={"scope": "operator"},
        )
    size = request.page_size or _DEFAULT_SIZE
    where = {"tenant": request.tenant}
    before = _read_token(request.page_token, where) if request.page_token else None
    found = await table.dead(request.tenant, before=before, limit=size + 1)
    response = ListDeadRunsResponse(rows=[DeadRow(tenant=of, row=row) for _, of, row in found[:size]])
    if len(found) > size:
        response.next_page_token = _token(found[size - 1][0], where)
    return response


def _token(sequence: int, where: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(_digest(where) + str(sequence).encode()).decode()


def _read_token(token: str, where: dict[str, str]) -> int:
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        if raw[:8] == _digest(where) and 0 <= (sequence := int(raw[8:])) < _SEQUENCES:
            return sequence
    except (binascii.Error, ValueError):
        pass
    raise invalid("page_token", "is not the next_page_token of a page with this filter")


def _digest(where: dict[str, str]) -> bytes:
    return hashlib.sha256(repr(sorted(where.items())).encode()).digest()[:8]
