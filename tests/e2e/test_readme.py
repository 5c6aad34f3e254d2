"""Every example of the README and of the reference does what the page says it does.

An HTML comment above a fenced block says what it is: `run` is run against the mesh, `prints` is what
the block before it prints, where "…" stands for anything; `start` are the settings of a mesh, and
`ask` is run against that one.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from malha.testing.mesh import Mesh

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (
    README,
    *(
        ROOT / "docs" / page
        for page in ("api.md", "streaming.md", "events.md", "approvals.md", "webhooks.md")
    ),
)
ENOUGH_SECONDS = 60

_PART = re.compile(r"^#+ ([^\n]+)$|^<!-- (\w+) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """A fenced block and what follows from it."""

    page: Path
    heading: str
    mark: str
    language: str
    text: str
    prints: str = ""


def examples() -> list[Example]:
    found: list[Example] = []
    for page in PAGES:
        heading = ""
        for title, mark, language, text in _PART.findall(page.read_text(encoding="utf-8")):
            if title:
                heading = title
            elif mark == "prints":
                found[-1].prints = text
            else:
                found.append(Example(page, heading, mark, language, text))
    return found


def marked(mark: str) -> list[Example]:
    return [example for example in examples() if example.mark == mark]


def named(example: Example) -> str:
    return f"{example.page.stem}: {example.heading}"


@pytest.mark.parametrize("example", marked("run"), ids=named)
async def test_an_example_prints_what_the_page_says(mesh: Mesh, example: Example) -> None:
    assert example.prints, "every example says what it prints"
    if "curl" in example.text and not shutil.which("curl"):
        pytest.skip("curl is not on this machine")
    assert_reads(await output(example, reaching(mesh)), example.prints)


@pytest.mark.parametrize(
    ("start", "ask"), zip(marked("start"), marked("ask"), strict=True), ids=lambda example: named(example)
)
async def test_an_own_agent_with_own_tools_answers(start: Example, ask: Example, tmp_path: Path) -> None:
    async with Mesh(tmp_path, await settings(start)) as mesh:
        assert_reads(await output(ask, reaching(mesh)), ask.prints)


async def test_the_agent_on_the_page_is_the_one_that_ships() -> None:
    file = ROOT / "examples" / "warehouse" / "agents" / "warehouse.yaml"
    assert f"```yaml\n{file.read_text(encoding='utf-8')}```" in README.read_text(encoding="utf-8")


async def test_every_block_that_can_run_is_run() -> None:
    marks = [example.mark for example in examples()]
    assert set(marks) == {"run", "start", "ask"}
    assert {example.language for example in marked("run")} == {"bash", "python"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        unmarked = re.findall(r"(?<!-->\n)^```(?:bash|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert {block.split()[0] for block in unmarked} <= {"export"}, "only settings are left to the reader"


def reaching(mesh: Mesh) -> dict[str, str]:
    return {
        "MALHA_URL": mesh.rest_url,
        "MALHA_GRPC_TARGET": mesh.grpc_target,
        "MALHA_API_KEY": mesh.api_key,
        "MALHA_NATS_URL": mesh.nats_url,
        "AUTH": f"authorization: Bearer {mesh.api_key}",
    }


async def settings(start: Example) -> Mapping[str, str]:
    """The variables that the block exports before its last line, `make up`."""
    exports = start.text.removesuffix("make up\n")
    assert exports != start.text
    shell = replace(start, text=exports + "env -0")
    lines = (await output(shell, {})).split("\0")
    after = dict(line.partition("=")[::2] for line in lines if line)
    return {name: value for name, value in after.items() if name.startswith("MALHA_")}


async def output(example: Example, environment: Mapping[str, str]) -> str:
    argv = [sys.executable, "-c"] if example.language == "python" else ["bash", "-euo", "pipefail", "-c"]
    process = await asyncio.create_subprocess_exec(
        *argv,
        example.text,
        cwd=ROOT,
        env={**os.environ, **environment, "COLUMNS": "80"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), ENOUGH_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, (out + err).decode()
    return out.decode()


def assert_reads(printed: str, page: str) -> None:
    """What was printed is what the page shows, but for spaces at the end of lines."""
    printed, page = (re.sub(r" +$", "", text, flags=re.MULTILINE).strip() for text in (printed, page))
    pattern = ".*?".join(map(re.escape, page.split("…")))
    assert re.fullmatch(pattern, printed, re.DOTALL), f"the page says:\n{page}\n\nit prints:\n{printed}"
