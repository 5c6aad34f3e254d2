"""What PostgreSQL is asked: every statement reads or writes by key, for many keys at once."""

from __future__ import annotations

from typing import get_type_hints

from malha_cost.ledger import Entry

_COLUMNS = ", ".join(Entry._fields)
_NUMBERS = {name: "bigint" for name, kind in get_type_hints(Entry).items() if kind is int} | {"stage": "int"}
LOCK = "SELECT pg_advisory_xact_lock(lock) FROM unnest($1::bigint[]) AS lock"
POLICIES = (
    "SELECT tenant, time_zone, organisation, warn_percent, brake_percent, stop_started_runs, monthly_tokens"
    " FROM policies WHERE tenant = ANY($1)"
)
SET_POLICY = """
    INSERT INTO policies VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant) DO UPDATE SET
      time_zone = excluded.time_zone, organisation = excluded.organisation,
      warn_percent = excluded.warn_percent, brake_percent = excluded.brake_percent,
      stop_started_runs = excluded.stop_started_runs, monthly_tokens = excluded.monthly_tokens
"""
BUDGETS = (
    "SELECT tenant, scope, scope_id, window_kind, limit_microusd FROM budgets"
    " WHERE tenant = ANY($1) AND scope_id = ANY($2) ORDER BY tenant, scope, scope_id, window_kind"
)
SET_BUDGET = (
    "INSERT INTO budgets VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (tenant, scope, scope_id, window_kind)"
    " DO UPDATE SET limit_microusd = excluded.limit_microusd"
)
STANDINGS = """
    SELECT sums.* FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[])
      WITH ORDINALITY AS asked (tenant, scope, scope_id, since, until, place)
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(spent), 0)::bigint, coalesce(sum(reserved), 0)::bigint,
        coalesce(sum(tokens), 0)::bigint, coalesce(sum(held_tokens), 0)::bigint
      FROM (
        SELECT spent, reserved, tokens, held_tokens FROM balances b
        WHERE b.tenant = asked.tenant AND b.scope = asked.scope AND b.scope_id = asked.scope_id
          AND b.day BETWEEN asked.since AND asked.until AND (asked.since <> '' OR asked.scope = 1)
        UNION ALL
        SELECT spent, reserved, 0, 0 FROM totals t
        WHERE t.tenant = asked.tenant AND t.scope = asked.scope AND t.scope_id = asked.scope_id
          AND asked.since = '' AND asked.scope <> 1
      ) AS lines
    ) AS sums ORDER BY place
"""
HISTORIES = f"""
    SELECT found.* FROM unnest($1::text[], $2::text[]) AS asked (tenant, key)
    CROSS JOIN LATERAL (
      SELECT {_COLUMNS} FROM entries e WHERE e.tenant = asked.tenant AND e.key = asked.key
    ) AS found ORDER BY tenant, key, stage
"""  # noqa: S608  # names from our own class
_ARRAYS = ", ".join(
    f"${place}::{_NUMBERS.get(name, 'text')}[]" for place, name in enumerate(Entry._fields, 1)
)
APPEND = f"INSERT INTO entries ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608  # likewise
MOVE = """
    WITH moved AS (
      SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[],
        $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
        AS m (tenant, scope, scope_id, day, spent, reserved, tokens, held_tokens)
    ), updated AS (
      UPDATE balances b SET spent = b.spent + m.spent, reserved = b.reserved + m.reserved,
        tokens = b.tokens + m.tokens, held_tokens = b.held_tokens + m.held_tokens
      FROM moved m
      WHERE b.tenant = m.tenant AND b.scope = m.scope AND b.scope_id = m.scope_id AND b.day = m.day
      RETURNING b.tenant, b.scope, b.scope_id, b.day
    ), totalled AS (
      INSERT INTO totals AS t SELECT tenant, scope, scope_id, sum(spent), sum(reserved) FROM moved
      WHERE scope <> 1 AND day < 'a' GROUP BY tenant, scope, scope_id ORDER BY tenant, scope, scope_id
      ON CONFLICT (tenant, scope, scope_id)
      DO UPDATE SET spent = t.spent + excluded.spent, reserved = t.reserved + excluded.reserved
    )
    INSERT INTO balances (tenant, scope, scope_id, day, spent, reserved, tokens, held_tokens)
    SELECT m.* FROM moved m WHERE (m.tenant, m.scope, m.scope_id, m.day) NOT IN (SELECT * FROM updated)
"""
USAGE = (
    "SELECT day, spent AS spent_microusd, reserved AS reserved_microusd, tokens AS used_tokens FROM balances"
    " WHERE tenant = $1 AND scope = 3 AND scope_id = '' AND day BETWEEN $2 AND $3 ORDER BY day"
)
HELD = """
    SELECT tenant, run_id, keys, reserved_microusd FROM (
      SELECT tenant, scope_id AS run_id, min(day) AS day FROM balances
      WHERE scope = 1 AND reserved + held_tokens > 0 AND day <= $1 GROUP BY tenant, scope_id
    ) AS holding CROSS JOIN LATERAL (
      SELECT array_agg(opened.key ORDER BY opened.key) AS keys,
        sum(opened.reserved)::bigint AS reserved_microusd, max(opened.at_us) AS youngest
      FROM entries opened
      WHERE opened.tenant = holding.tenant AND opened.key > holding.tenant || '/' || holding.run_id || '/'
        AND opened.key < holding.tenant || '/' || holding.run_id || '/~' AND opened.stage = 0 AND NOT EXISTS (
          SELECT FROM entries closed
          WHERE closed.tenant = opened.tenant AND closed.key = opened.key AND closed.stage = 1
        )
    ) AS opened WHERE youngest <= $2 ORDER BY day, tenant, run_id LIMIT $3 OFFSET $4
"""
