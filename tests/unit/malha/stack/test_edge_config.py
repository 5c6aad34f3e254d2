"""Envoy's configuration says what the contract says, and Envoy takes it."""

import re
import subprocess
from pathlib import Path

import pytest
from google.rpc import error_details_pb2

from malha import errors
from malha.stack import descriptors, rest
from malha.stack.edge import REFUSALS, Refusal, envoy
from malha.stack.template import fill


def test_envoy_takes_the_configuration(tmp_path: Path) -> None:
    program = envoy(tmp_path, port=1, gateways=[2, 3], access_log=True)
    said = subprocess.run([*program.argv, "--mode", "validate"], capture_output=True, text=True, timeout=60)  # noqa: S603 - our own program
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
def test_envoys_refusals_speak_with_the_words_of_ours(refusal: Refusal) -> None:
    ours = errors.MalhaError(errors.reason_named(refusal.reason), "")
    assert ours.code == refusal.code
    info = error_details_pb2.ErrorInfo()
    assert refusal.details().details[0].Unpack(info)
    assert info.reason == refusal.reason


def test_every_http_rule_has_its_row() -> None:
    calls = re.findall(
        r'^  \{"(\w+)", "([^"]+)", ("[\w.]+"|false), ("\w+"|false), (true|false)\},?$',
        rest.script(descriptors.contract()),
        re.M,
    )
    create, cancel = (f'"malha.api.gateway.v1.{name}RunRequest"' for name in ("Create", "Cancel"))
    assert ("POST", "^/v1/runs/?$", create, '"run"', "false") in calls
    assert ("POST", "^/v1/runs/[^/]+:cancel/?$", cancel, '"run"', "false") in calls
    assert ("GET", "^/v1/runs/[^/]+/events/?$", "false", "false", "true") in calls
    assert ("GET", "^/v1/runs/?$", "false", "false", "false") in calls


def test_a_blank_that_nothing_fills_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a: @{known} $JS %BODY% @{unknown}")
    with pytest.raises(KeyError, match="unknown"):
        fill(tmp_path / "t", known=1)
    assert fill(tmp_path / "t", known=1, unknown=2) == "a: 1 $JS %BODY% 2"
