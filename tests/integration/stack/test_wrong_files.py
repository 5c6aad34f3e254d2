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


def ended(tmp_path: Path, service: str, setting: str, value: str) -> str:
    """What is told by a start that a setting ends."""
    prefix = f"MALHA_{service.upper()}_"
    environment = {
        **os.environ,
        f"{prefix}{setting}": value,
        f"{prefix}STATE_DIR": str(tmp_path),
        f"{prefix}SECRETS_DIR": str(Secrets(tmp_path / "secrets").of(service)),
    }
    process = subprocess.run(  # noqa: S603 - the arguments are our own
        [sys.executable, "-m", f"malha_{service}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert process.returncode == 2, process.stderr
    return process.stderr.strip()


@pytest.mark.parametrize(("service", "setting", "file", "text", "told"), WRONG)
def test_a_file_that_cannot_be_used_ends_the_start_with_one_line_that_says_where(
    tmp_path: Path, service: str, setting: str, file: str, text: str, told: str
) -> None:
    (tmp_path / file).write_text(text)
    named = tmp_path if setting.endswith("_DIR") else tmp_path / file
    said = ended(tmp_path, service, setting, str(named))
    assert said.startswith(f"malha-{service}: ")
    assert told in said
    assert "\n" not in said


@pytest.mark.parametrize("model", ["openai/gpt-99", "gpt-4o-mini"])
def test_a_model_of_comparison_without_a_price_ends_the_start_with_one_line_that_names_the_setting(
    tmp_path: Path, model: str
) -> None:
    said = ended(tmp_path, "cost", "REFERENCE_MODEL", model)
    assert said.startswith("malha-cost: MALHA_COST_REFERENCE_MODEL: no price is known")
    assert "\n" not in said
