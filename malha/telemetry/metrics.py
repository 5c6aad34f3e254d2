"""The metrics of the mesh: each a module constant, exposed in Prometheus's format.

No metric carries a tenant, run or user: those are unbounded, and logs and traces have them.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LATENCY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

# wire
RPC_SERVED = Histogram(
    "malha_rpc_served_seconds", "Time to serve an RPC.", ("method", "code"), buckets=_LATENCY
)
RPC_IN_FLIGHT = Gauge("malha_rpc_in_flight", "RPCs being served.")
RPC_RETRIES = Counter("malha_rpc_retries_total", "Calls to a peer made again.", ("callee",))
RPC_RETRIES_REFUSED = Counter(
    "malha_rpc_retries_refused_total", "Retries not made because the retry budget was used up.", ("callee",)
)

# limits
LIMITS_FAILED_OPEN = Counter(
    "malha_limits_failed_open_total", "Cache and limit commands skipped because Valkey was away.", ("part",)
)
BREAKER_STATE = Gauge("malha_breaker_state", "0 closed, 1 half-open, 2 open.", ("breaker",))
BREAKER_REFUSED = Counter("malha_breaker_refused_total", "Calls an open breaker refused.", ("breaker",))
BULKHEAD_IN_USE = Gauge("malha_bulkhead_in_use", "Calls under way behind a bulkhead.", ("bulkhead",))
BULKHEAD_REFUSED = Counter("malha_bulkhead_refused_total", "Calls a full bulkhead refused.", ("bulkhead",))

# cost
COST_ENTRIES = Counter("malha_cost_entries_total", "Entries added to the ledger.")
COST_DENIED = Counter("malha_cost_denied_total", "Reservations denied: ask_again or final.", ("answer",))
COST_OVERRUNS = Counter(
    "malha_cost_overruns_total", "Settlements above what was reserved for them. Alarm on any."
)
COST_ALERTS = Counter(
    "malha_cost_alerts_total", "Alerts, by type and by the scope of the budget.", ("type", "scope")
)

# guard
GUARD_ACTIONS = Counter(
    "malha_guard_actions_total", "Texts not simply allowed, by stage and action.", ("stage", "action")
)

# retrieval
RETRIEVAL_DOCUMENTS = Counter(
    "malha_retrieval_documents_total", "Documents taken in, by what came of them.", ("status",)
)

# tools
TOOL_SECONDS = Histogram(
    "malha_tool_seconds",
    "Time a tool took, by outcome: OK or the reason of its failure.",
    ("tool", "outcome"),
    buckets=_LATENCY,
)
TOOL_CALLS = Counter(
    "malha_tool_calls_total",
    "Calls answered, by how: ran, cached, refused (arguments), recorded (the key was used before).",
    ("tool", "how"),
)

# the journal's side channel
DELTAS = Counter(
    "malha_deltas_total", "Parts of texts being written, told to whoever listens, or dropped.", ("outcome",)
)

# gateway
GATEWAY_RUNS_FOLLOWED = Gauge("malha_gateway_runs_followed", "Runs whose journal is read for a stream.")
GATEWAY_DELIVERIES = Counter(
    "malha_gateway_deliveries_total",
    "Attempts to deliver events to webhooks: delivered, failed, given_up, gone or dropped (too many wait).",
    ("outcome",),
)
GATEWAY_READERS_LET_GO = Counter(
    "malha_gateway_readers_let_go_total", "Readers of streams that took nothing for too long."
)
GATEWAY_STREAMS_REFUSED = Counter(
    "malha_gateway_streams_refused_total",
    "Streams and waiting calls refused: their tenant had all it may.",
)
GATEWAY_BILLING_EVENTS = Counter(
    "malha_gateway_billing_events_total",
    "Webhooks of Stripe that were believed: applied, repeated, unlinked or ignored.",
    ("outcome",),
)

# planner
PLANNER_RUNS = Counter("malha_planner_runs_total", "Runs ended by a worker.", ("status", "reason"))
PLANNER_ITEMS = Counter("malha_planner_items_total", "Work items, by what was made of them.", ("outcome",))
PLANNER_QUEUED = Gauge(
    "malha_planner_queued_items", "Work items queued or under way, of all planners.", ("work_class",)
)
PLANNER_BUSY = Gauge("malha_planner_busy_slots", "Runs being worked on.")
PLANNER_RESTING = Gauge("malha_planner_resting_runs", "Runs that wait for money and take no slot.")
PLANNER_UNHEARD = Counter(
    "malha_planner_unheard_texts_total",
    "Texts whose stream the guard did not judge to its end: told no further, and judged whole.",
)
PLANNER_STEPS = Histogram(
    "malha_planner_step_seconds",
    "Time of one model or tool call, by outcome: OK or the reason of its failure.",
    ("kind", "outcome"),
    buckets=_LATENCY,
)
PLANNER_FOLLOWED = Counter("malha_planner_followed_records_total", "Records the follower has announced.")
PLANNER_BROKEN = Counter(
    "malha_planner_broken_journals_total", "Runs dead of a journal that no correct writer left. Alarm on any."
)
PLANNER_REMINDED = Counter("malha_planner_reminded_runs_total", "Hints given by the timer.")
PLANNER_ARCHIVED = Counter("malha_planner_archived_runs_total", "Journals moved to the archive.")
PLANNER_ERASED = Counter("malha_planner_erased_runs_total", "Runs erased.")
PLANNER_SWEPT = Counter(
    "malha_planner_swept_reservations_total",
    "Reservations of runs that were over, settled at their ceiling by the sweep. Alarm on any.",
)
PLANNER_LEADING = Gauge("malha_planner_leading", "1 while this process's follower leads.")
