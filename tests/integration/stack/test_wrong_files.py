"""What an operator got wrong is told in one line, not by a stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from malha.stack.secrets import Secrets

WRONG = [
    ("planner", "AGENTS_DIR", "default.yaml", "name: default\nfoo: bar\n", "default.yaml: "),
    ("guard", "POLICY_FILE", "policy.yaml", "name: mine\n", "policy.yaml: "),
    ("cost", "PRICE_FILE", "prices.yaml", "prices: free\n", "prices.yaml"),
]


@pytest.mark.parametrize(("service", "setting", "file", "text", "told"), WRONG)
def test_a_file_that_cannot_be_used_ends_the_start_with_one_line_that_says_where(
    tmp_path: Path, service: str, setting: str, file: str, text: str, told: str
) -> None:
    (tmp_path / file).write_text(text)
    named = tmp_path if setting.endswith("_DIR") else tmp_path / file
    prefix = f"MALHA_{service.upper()}_"
    environment = {
        **os.environ,
        f"{prefix}{setting}": str(named),
        f"{prefix}STATE_DIR": str(tmp_path),
        f"{prefix}SECRETS_DIR": str(Secrets(tmp_path / "secrets").of(service)),
    }
    ended = subprocess.run(  # noqa: S603 - the arguments are our own
        [sys.executable, "-m", f"malha_{service}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2, ended.stderr
    said = ended.stderr.strip()
    assert said.startswith(f"malha-{service}: ")
    assert told in said
    assert "\n" not in said
