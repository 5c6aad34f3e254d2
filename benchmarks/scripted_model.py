"""The agent that benchmarks put their load on, and the scripted model it asks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.sidecars import Sidecar

_MODEL = "scripted-1"
QUESTION = "What do 40 hours at 2.49 dollars cost?"
_AGENT = {
    "name": "bench",
    "version": "1",
    "description": "Two model calls and one tool call.",
    "prompt": "Answer with the calculator.",
    "tools": ["calculator"],
    "model": {"provider": "openai", "name": _MODEL},
    "limits": {"max_output_tokens": 256},
}
_PRICES = {
    "source": "the benchmark",
    "prices": [{"provider": "openai", "model": _MODEL, "input": "0.15", "output": "0.60"}],
}


_ANSWER = "Forty hours cost 99.60 dollars."


def _script(latency_ms: int, spoken: dict[str, Any]) -> dict[str, Any]:
    """Two model calls and one tool call, each answer after so many milliseconds."""
    call = {"name": "calculator", "arguments": {"expression": "40 * 2.49"}}
    return {
        "rules": [
            {"turn": 0, "tool_calls": [call], "latency_ms": latency_ms},
            {"text": _ANSWER, "latency_ms": latency_ms, **spoken},
        ]
    }


@asynccontextmanager
async def scripted_model(state: Path, *, latency_ms: int = 0, **spoken: Any) -> AsyncIterator[dict[str, str]]:
    """A model server that answers by the script, and the settings of a mesh whose agent asks it.

    Args:
        state: an empty folder.
        latency_ms: how long the model takes.
        spoken: what else the rule of the answer says, such as `text` and `chunk_ms`.
    """
    agents = state / "agents"
    agents.mkdir()
    (agents / "default.yaml").write_text(yaml.safe_dump({**_AGENT, "name": "default"}))
    (agents / "bench.yaml").write_text(yaml.safe_dump(_AGENT))
    (state / "script.json").write_text(json.dumps(_script(latency_ms, spoken)))
    (state / "prices.yaml").write_text(yaml.safe_dump(_PRICES))
    models = Sidecar("malha.testing.model_server", state, "--script", str(state / "script.json"))
    async with models:
        yield {
            "MALHA_PLANNER_AGENTS_DIR": str(agents),
            "MALHA_PLANNER_OPENAI_BASE_URL": f"http://127.0.0.1:{models.port}/v1",
            "MALHA_PLANNER_OPENAI_MODELS": _MODEL,
            "MALHA_COST_PRICE_FILE": str(state / "prices.yaml"),
        }
