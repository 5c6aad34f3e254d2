"""What models, tenants and files are called or say is printed as it stands, and orders a terminal nothing."""

from __future__ import annotations

import io

import pytest
import typer

from malha.api.cost.v1.price_pb2 import Price, Quote, Rates
from malha.api.gateway.v1.run_pb2 import Run, RunEvent, Step
from malha.api.run.v1.record_pb2 import StepKind
from malha.cli import prices, render, report, session
from malha.cli.terminal import Terminal
from malha.client import Client, ErrorReason, MalhaError

NAME = "a[/b]"
ORDER = "\x1b[2J\x9b2J\x1b]52;c;aGk=\x07 \u202e001\u202c"


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(file=io.StringIO(), width=120, color_system=None, force_terminal=True)


def printed(terminal: Terminal) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


def test_a_refusal_that_names_what_looks_like_markup_is_told_in_its_words(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: Client) -> int:
        raise MalhaError(ErrorReason.ERROR_REASON_PRICE_UNKNOWN, f"no price is known for {NAME}")

    monkeypatch.setenv("MALHA_API_KEY", "a key")
    monkeypatch.setattr(session, "errors", terminal)
    with pytest.raises(typer.Exit):
        session.run(refused)
    assert f"no price is known for {NAME}" in printed(terminal)


def test_a_tool_that_a_model_made_up_is_shown_as_it_wrote_it(terminal: Terminal) -> None:
    step = Step(step=1, kind=StepKind.STEP_KIND_MODEL)
    step.tool_calls.add().tool = NAME
    render.event(terminal, RunEvent(step_finished=step))
    assert f"asks for {NAME}" in printed(terminal)


def test_a_model_of_any_name_has_its_line_among_prices(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "console", terminal)
    quote = Quote(price=Price(provider="p", model=NAME, rates=[Rates()]))
    prices.tell([quote], "asked", one=False, as_json=False)
    assert f"p/{NAME}" in printed(terminal)


def test_an_answer_moves_no_cursor_fills_no_clipboard_and_turns_no_text_round(terminal: Terminal) -> None:
    render.outcome(terminal, Run(agent="a", answer=f"{ORDER} done\nnext line"))
    told = printed(terminal)
    assert not set(told) & set("\x1b\x9b\x07\u202e\u202c")
    assert "done" in told
    assert "next line" in told


def test_a_terminals_own_colours_and_growing_texts_are_left_alone() -> None:
    coloured = Terminal(file=io.StringIO(), width=40, color_system="standard", force_terminal=True)
    coloured.print("[red]no[/]")
    assert printed(coloured) == "\x1b[31mno\x1b[0m\n"
    with render.growing(coloured) as grow:
        grow(f"half{ORDER}")
    assert "half" in printed(coloured)
    assert "\x1b]52" not in printed(coloured)


def test_a_report_orders_a_terminal_nothing() -> None:
    [heading, *_] = report.text(iter([report.Section(ORDER)]))
    assert "\x1b" not in heading


def test_a_report_as_a_page_orders_a_terminal_nothing() -> None:
    page = report.markdown(iter([report.Section("Tools", [ORDER], ["name"], [[ORDER]])]))
    assert not set("".join(page)) & set("\x1b\x9b\x07\u202e\u202c")
