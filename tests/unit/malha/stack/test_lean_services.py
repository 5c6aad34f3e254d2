"""A service holds no library that it never uses: each would cost 5 MB and more, for life."""

import subprocess
import sys

import pytest

_HEAVY = ("aiohttp", "jsonschema", "nats", "openai", "psutil", "redis", "rich", "typer")


@pytest.mark.parametrize(
    ("service", "used"),
    [
        ("gateway", {"nats", "redis"}),
        ("planner", {"aiohttp", "jsonschema", "nats"}),
        ("tools", {"jsonschema", "redis"}),
        ("retrieval", set()),
        ("guard", set()),
        ("cost", set()),
    ],
)
def test_a_service_loads_the_heavy_libraries_that_it_uses_and_no_other(service: str, used: set[str]) -> None:
    loads = f"import sys, malha_{service}.app; print(*(set({_HEAVY!r}) & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert set(said.stdout.split()) == used
