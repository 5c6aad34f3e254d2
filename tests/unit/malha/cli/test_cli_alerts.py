"""What `malha alerts` says of an alert, in a line."""

from __future__ import annotations

import pytest

from malha.api.event.v1.alert_pb2 import Alert
from malha.cli.alerts import said

HOUR = 1_800_000_000 // 3600 * 3600


def anomaly(agent: str = "") -> Alert:
    alert = Alert(type="spend_anomaly", agent=agent, spent_microusd=9_000_000, usual_microusd=500_000)
    alert.hour.FromSeconds(HOUR)
    return alert


@pytest.mark.parametrize(
    ("alert", "line"),
    [
        (
            Alert(scope="tenant", window="day", limit_microusd=25_000_000, spent_microusd=20_000_001),
            "tenant: $20.000001 of $25.000000 by day",
        ),
        (
            Alert(scope="key", scope_id="3f1c", window="month", rolling=True, limit_microusd=1),
            "key 3f1c: $0.000000 of $0.000001 by rolling month",
        ),
        (
            Alert(scope="quota", limit_tokens=10_000, used_tokens=9_999),
            "quota: 9,999 of 10,000 tokens this month",
        ),
        (anomaly(), "all agents since 08:00 UTC: $9.000000, usually $0.500000"),
        (anomaly("docs"), "docs since 08:00 UTC: $9.000000, usually $0.500000"),
        (
            Alert(run_id="abc", agent="docs", spent_microusd=2, usual_microusd=1, calls=40, usual_calls=2),
            "run abc of docs: $0.000002, usually $0.000001; 40 calls, usually 2",
        ),
    ],
)
def test_an_alert_is_said_in_a_line(alert: Alert, line: str) -> None:
    assert said(alert) == line
