"""What keeps a service from starting is said in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha import lifecycle
from malha.errors import ConfigurationError
from malha.run.nats_journal import read_master_key
from malha.settings import ServiceSettings
from malha.wire import Identity
from malha_guard.settings import Settings


async def _unreached(settings: ServiceSettings) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "loud"),
        ("TRACE_SAMPLING", "2"),
        ("METRICS_LISTEN", "here:x"),
        ("METRICS_LISTEN", "9090"),
        ("MAX_CONCURRENT", "0"),
        ("NO_SUCH", "1"),
    ],
)
def test_a_bad_setting_ends_the_start_and_is_named(
    name: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for needed in ("STATE_DIR", "SECRETS_DIR"):
        monkeypatch.setenv(f"MALHA_GUARD_{needed}", str(tmp_path))
    monkeypatch.setenv(f"MALHA_GUARD_{name}", value)
    with pytest.raises(SystemExit) as ended:
        lifecycle.run("guard", Settings, _unreached)
    assert ended.value.code == 2
    assert name in capsys.readouterr().err.upper()


@pytest.mark.parametrize("content", [None, b"", b"not a key"])
def test_a_key_that_cannot_be_used_is_named_and_not_quoted(tmp_path: Path, content: bytes | None) -> None:
    for name in ("guard.key", "master.key"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"guard\.key") as identity:
        Identity.load(tmp_path, "guard")
    with pytest.raises(ConfigurationError, match=r"master\.key") as master:
        read_master_key(tmp_path / "master.key")
    assert "not a key" not in f"{identity.value} {master.value}"
