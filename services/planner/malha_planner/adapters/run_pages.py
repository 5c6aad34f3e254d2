"""The query for a page of a tenant's runs, composed so that an index serves it.

A partial index is taken only where the query repeats the index's own condition word for word; and a
condition such as "status is null or equal" would keep every index from being taken.
"""

from __future__ import annotations

from collections.abc import Mapping

_OPEN = ("QUEUED", "RUNNING", "WAITING")
_UNHAPPY = ("FAILED", "CANCELLED", "DEAD")
_IS_OPEN = "status IN ('QUEUED', 'RUNNING', 'WAITING')"
_IS_UNHAPPY = "status IN ('FAILED', 'CANCELLED', 'DEAD')"
_WAITS = "status = 'WAITING'"
_HAS_SESSION = "session_id <> ''"


def page_query(where: Mapping[str, str]) -> str:
    """The statement for equalities on some fields and for `open`; its values are bound by name.

    `before` is the accepted sequence to begin below, `limit` the number of rows at most.
    """
    clauses = ["tenant = :tenant", "accepted_sequence < :before"]
    status, is_open = where.get("status"), where.get("open")
    few = _few(status, is_open)
    clauses += few
    if "status" in where:
        clauses.append("status = :status")
    if is_open == "false":
        clauses.append(f"NOT {_IS_OPEN}")
    # a plus keeps an index from being taken: fewer runs are open or failed than are an agent's or a key's
    plus = "+" if few else ""
    clauses += [f"{plus}{name} = :{name}" for name in ("agent", "key_id") if name in where]
    if "session_id" in where:
        clauses.append("session_id = :session_id")
        if where["session_id"]:
            clauses.append(_HAS_SESSION)
    conditions = " AND ".join(clauses)
    return (
        f"SELECT accepted_sequence, row FROM runs WHERE {conditions}"  # noqa: S608  # every word stands above
        " ORDER BY accepted_sequence DESC LIMIT :limit"
    )


def _few(status: str | None, is_open: str | None) -> list[str]:
    """The condition of the partial index to take, if one holds all that is asked for."""
    if status == "WAITING":
        return [_WAITS]
    if status in _OPEN or is_open == "true":
        return [_IS_OPEN]
    return [_IS_UNHAPPY] if status in _UNHAPPY else []
