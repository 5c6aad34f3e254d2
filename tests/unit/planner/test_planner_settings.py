"""Shares and caps of queues come from the environment, and a slip stops the start."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from malha.settings import load
from malha_planner.settings import Settings

NEEDED = {"MALHA_PLANNER_STATE_DIR": "state", "MALHA_PLANNER_SECRETS_DIR": "secrets"}


def read(monkeypatch: pytest.MonkeyPatch, **said: str) -> Settings:
    for name, value in {**NEEDED, **{f"MALHA_PLANNER_{name}": value for name, value in said.items()}}.items():
        monkeypatch.setenv(name, value)
    return load(Settings)


def test_left_out_batches_get_half_and_cpu_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    assert settings.class_shares == {"batch": 0.5, "cpu": 0.25}
    assert settings.tenant_concurrencies == {}


def test_shares_and_caps_are_maps_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, CLASS_SHARES='{"batch": 1}', TENANT_CONCURRENCIES='{"acme": 16}')
    assert settings.class_shares == {"batch": 1}
    assert settings.tenant_concurrencies == {"acme": 16}


@pytest.mark.parametrize(
    "said",
    [
        {"CLASS_SHARES": '{"nightly": 0.5}'},
        {"CLASS_SHARES": '{"batch": 0}'},
        {"CLASS_SHARES": '{"batch": 1.5}'},
        {"CLASS_SHARES": "half"},
        {"TENANT_CONCURRENCIES": '{"acme": 0}'},
        {"TENANT_CONCURRENCIES": '{"acme": "many"}'},
    ],
)
def test_a_slip_stops_the_start(monkeypatch: pytest.MonkeyPatch, said: dict[str, str]) -> None:
    with pytest.raises((ValidationError, SettingsError)):
        read(monkeypatch, **said)
