"""Whatever a table lists can be read whole, and copied, on a narrow terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from malha.api.event.v1.alert_pb2 import Alert
from malha.api.gateway.v1.operator_service_pb2 import DeadRun
from malha.api.gateway.v1.run_pb2 import Run, Step
from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.run.v1.record_pb2 import StepKind
from malha.cli import alerts, render, webhooks
from malha.cli.terminal import Terminal, whole

LONG = "abcdefghijklmnopqrstuvwxyz0123456789" * 3
RUN_ID = "0" * 52


def dead_run() -> DeadRun:
    dead = DeadRun(tenant=LONG, run=Run(run_id=RUN_ID, agent=LONG))
    dead.claims.add(worker=LONG, item=1, delivery=5)
    return dead


def step() -> Step:
    return Step(step=1, kind=StepKind.STEP_KIND_TOOL, name=LONG)


@pytest.mark.parametrize(
    "table",
    [
        alerts.listing([Alert(type="runaway_run", run_id=LONG, agent="docs")]),
        webhooks.listing([Webhook(webhook_id=RUN_ID, url=f"https://{LONG}.example/hook")]),
        webhooks.listing([Webhook(webhook_id=RUN_ID, event_types=[f"alert.{LONG}"])]),
        webhooks.listing([Webhook(webhook_id=RUN_ID, disabled_reason=LONG)]),
        render.dead_listing([dead_run()]),
        render.claims(dead_run()),
        render.steps(Run(steps=[step()])),
    ],
    ids=["alert", "webhook_url", "webhook_events", "webhook_outcome", "dead_run", "claim", "step"],
)
def test_a_long_word_goes_on_in_the_next_line(table: Table) -> None:
    narrow = Terminal(file=io.StringIO(), width=80)
    whole(narrow, table)
    assert isinstance(narrow.file, io.StringIO)
    told = narrow.file.getvalue()
    assert "…" not in told
    rows = [line.split("│") for line in told.splitlines() if line.startswith("│")]
    columns = ["".join(map(str.strip, column)) for column in zip(*rows, strict=True)]
    assert any(LONG in column for column in columns), told
