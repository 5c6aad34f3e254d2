"""Agents whose model says what a script tells it to: the settings that make them part of a mesh.

The shipped agents stay beside them. The scripted model has a price in round numbers, so that a test
knows to the micro-dollar what a run costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from malha_planner.adapters.agent_files import SHIPPED

MODEL = "scripted-1"
INPUT_MICROUSD = 10
"""What an input token of the scripted model costs."""
OUTPUT_MICROUSD = 30
"""What an output token costs."""


def settings(folder: Path, base_url: str, agents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Write agent and price files to ``folder``; the variables that make a mesh use them.

    Args:
        base_url: of the scripted model server, `/v1` included.
        agents: name -> further keys of its file, such as tools and limits.
    """
    agents_dir = folder / "agents"
    agents_dir.mkdir(parents=True)
    for shipped in SHIPPED.glob("*.yaml"):
        (agents_dir / shipped.name).write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    for name, more in agents.items():
        declared = {
            "name": name,
            "version": "1",
            "description": "Says what a script tells it to.",
            "prompt": "Answer.",
            "model": {"provider": "openai", "name": MODEL},
            **more,
        }
        (agents_dir / f"{name}.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    price = {
        "provider": "openai",
        "model": MODEL,
        "input": str(INPUT_MICROUSD),  # dollars a million tokens are micro-dollars a token
        "output": str(OUTPUT_MICROUSD),
    }
    prices = folder / "prices.yaml"
    prices.write_text(yaml.safe_dump({"source": "the test", "prices": [price]}), encoding="utf-8")
    return {
        "MALHA_PLANNER_AGENTS_DIR": str(agents_dir),
        "MALHA_PLANNER_OPENAI_BASE_URL": base_url,
        "MALHA_PLANNER_OPENAI_MODELS": MODEL,
        "MALHA_COST_PRICE_FILE": str(prices),
    }
