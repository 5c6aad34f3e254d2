"""A text shown in a terminal while it is written."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from malha.cli import render


@pytest.mark.parametrize("terminal", [True, False], ids=["in a terminal", "in a file"])
def test_a_growing_text_is_shown_where_somebody_watches_and_leaves_nothing_behind(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=60)
    with render.growing(console) as show:
        show("It is [bold] for")
        show("It is [bold] forty")
        console.print("step 1")
        show("")
    assert ("It is [bold] forty" in out.getvalue()) == terminal
    assert "step" in out.getvalue()
