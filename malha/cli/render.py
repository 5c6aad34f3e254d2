"""How runs look in a terminal: a timeline as it happens, the answer, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from malha.api.gateway.v1 import operator_service_pb2, run_pb2
from malha.api.run.v1 import record_pb2

_MARKS = {
    run_pb2.STEP_STATUS_OK: "[green]✓[/]",
    run_pb2.STEP_STATUS_FAILED: "[yellow]![/]",
    run_pb2.STEP_STATUS_BLOCKED: "[red]✗[/]",
    run_pb2.STEP_STATUS_ABANDONED: "[yellow]~[/]",
}
_SHOWN = 160


def usd(microusd: int) -> str:
    """Micro-dollars as dollars, without rounding."""
    return f"${microusd / 1_000_000:.6f}"


def status(run: run_pb2.Run) -> str:
    """The run's status as a word."""
    return run_pb2.RunStatus.Name(run.status).removeprefix("RUN_STATUS_").lower()


@contextmanager
def growing(console: Console) -> Iterator[Callable[[str], None]]:
    """Within the block, show a text below all that is printed, as it stands; nothing outside a terminal."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda text: live.update(Padding(Text(text), (0, 2)) if text else "", refresh=True)


def event(console: Console, happened: run_pb2.RunEvent) -> None:
    """Print one event of a run's stream as a line of its timeline."""
    at = happened.time.ToDatetime().strftime("%H:%M:%S.%f")[:-3]
    line = _line(happened)
    if line:
        console.print(f"  [dim]{at}[/] {line}", highlight=False, no_wrap=True, overflow="ellipsis")


def _line(happened: run_pb2.RunEvent) -> str:
    match happened.WhichOneof("event"):
        case "accepted":
            return f"accepted by agent [bold]{escape(happened.accepted.agent)}[/]"
        case "claimed" if happened.claimed.delivery > 1:
            return f"taken over by another worker (delivery {happened.claimed.delivery})"
        case "step_started":
            step = happened.step_started
            return f"step {step.step} {_what(step)} [dim]{escape(_short(step.arguments_json))}[/]"
        case "step_finished":
            return _finished(happened.step_finished)
        case "waiting":
            return f"[yellow]waiting:[/] {escape(happened.waiting.message or happened.waiting.reason)}"
        case "approval_requested":
            asked = happened.approval_requested
            return f"step {asked.step} asks for leave to call [cyan]{escape(asked.tool)}[/]"
        case "notified":
            told = happened.notified
            by = f" by {escape(told.preauthorisation)}" if told.preauthorisation else ""
            return f"step {told.step} calls [cyan]{escape(told.tool)}[/]{by}; people are told"
        case "decided":
            decision = happened.decided.decisions[-1]
            word = record_pb2.Decision.Name(decision.decision).removeprefix("DECISION_").lower()
            return f"[bold]{word}[/] by {escape(decision.by)} {escape(_short(decision.comment))}"
        case "cancel_requested":
            return f"cancellation asked for by {escape(happened.cancel_requested.by)}"
        case "replayed":
            return f"replayed by {escape(happened.replayed.by)}"
        case "dropped":
            return f"dropped by {escape(happened.dropped.by)}"
        case "finished":
            return f"[bold]{status(happened.finished)}[/]"
        case _:
            return ""


def _what(step: run_pb2.Step) -> str:
    kind = "model" if step.kind == record_pb2.STEP_KIND_MODEL else "tool"
    return f"{kind} [cyan]{escape(step.name)}[/]"


def _finished(step: run_pb2.Step) -> str:
    took = step.elapsed.ToTimedelta().total_seconds() * 1000
    parts = [f"step {step.step} {_MARKS.get(step.status, '?')} {took:.0f} ms"]
    if step.usage.input_tokens or step.usage.output_tokens:
        parts.append(f"{step.usage.input_tokens}+{step.usage.output_tokens} tokens")
    if step.tool_calls:
        parts.append("asks for " + escape(", ".join(call.tool for call in step.tool_calls)))
    if step.from_cache:
        parts.append("from cache")
    if step.error.reason:
        parts.append(f"[yellow]{escape(step.error.reason)}: {escape(_short(step.error.message))}[/]")
    elif step.kind == record_pb2.STEP_KIND_TOOL:
        parts.append(f"[dim]{escape(_short(step.text))}[/]")
    return " · ".join(parts)


def outcome(console: Console, run: run_pb2.Run) -> None:
    """Print a run's answer, or why there is none, and what it cost."""
    if run.answer:
        console.print(Panel(escape(run.answer), title=escape(run.agent), border_style="green"))
        for citation in run.citations:
            section = f" › {citation.section}" if citation.section else ""
            console.print(
                f"  {escape(citation.marker)} [cyan]{escape(citation.document)}[/]{escape(section)}"
            )
    if run.error.reason:
        console.print(f"[red]{escape(run.error.reason)}[/] {escape(run.error.message)}")
    if run.model_note:
        console.print(f"[dim]{escape(run.model_note)}[/]")
    console.print(figures(run), highlight=False)


def figures(run: run_pb2.Run) -> str:
    """Tokens, cost and where to look further, on one line."""
    parts = [
        f"{run.usage.input_tokens}+{run.usage.output_tokens} tokens",
        f"cost {usd(run.cost.amount_microusd)}{_by_component(run)}",
    ]
    if run.cost.reference_model:
        parts.append(f"({usd(run.cost.reference_microusd)} on {run.cost.reference_model})")
    parts += [f"run {run.run_id}", f"trace {run.trace_id}"]
    return "[dim]" + escape(" · ".join(parts)) + "[/]"


def _by_component(run: run_pb2.Run) -> str:
    """What its models cost and what its tools did, where both cost something."""
    amounts = {
        word: sum(step.cost.amount_microusd for step in run.steps if step.kind == kind)
        for word, kind in (("models", record_pb2.STEP_KIND_MODEL), ("tools", record_pb2.STEP_KIND_TOOL))
    }
    if not all(amounts.values()):
        return ""
    return f" ({', '.join(f'{word} {usd(amount)}' for word, amount in amounts.items())})"


def listing(runs: Sequence[run_pb2.Run]) -> Table:
    """Runs as a table, ids whole: they are there to be copied."""
    table = Table(Column("run", no_wrap=True), "agent", "status", "accepted", "tokens", "cost")
    for column in table.columns[-2:]:
        column.no_wrap = True
    for run in runs:
        table.add_row(
            run.run_id,
            escape(run.agent),
            status(run),
            run.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S"),
            str(run.usage.input_tokens + run.usage.output_tokens),
            usd(run.cost.amount_microusd),
        )
    return table


def dead_listing(dead: Sequence[operator_service_pb2.DeadRun]) -> Table:
    """Dead runs of several tenants as a table."""
    table = Table(Column("run", no_wrap=True), "tenant", "agent", "died", "of")
    for one in dead:
        died = one.run.finish_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(one.run.run_id, escape(one.tenant), escape(one.run.agent), died, one.run.error.reason)
    return table


def claims(dead: operator_service_pb2.DeadRun) -> Table:
    """Who had a run, and when."""
    table = Table("claimed", "worker", "item", "delivery")
    for claim in dead.claims:
        claimed = claim.claim_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        table.add_row(claimed, escape(claim.worker), str(claim.item), str(claim.delivery))
    return table


def steps(run: run_pb2.Run) -> Table:
    """A run's steps as a table."""
    table = Table("step", "kind", "name", "status", "took", "tokens", "cost", "what came of it")
    for step in run.steps:
        table.add_row(
            str(step.step),
            record_pb2.StepKind.Name(step.kind).removeprefix("STEP_KIND_").lower(),
            escape(step.name),
            run_pb2.StepStatus.Name(step.status).removeprefix("STEP_STATUS_").lower(),
            f"{step.elapsed.ToTimedelta().total_seconds() * 1000:.0f} ms",
            str(step.usage.input_tokens + step.usage.output_tokens),
            usd(step.cost.amount_microusd),
            escape(_short(step.error.message or _produced(step))),
        )
    return table


def _produced(step: run_pb2.Step) -> str:
    if step.tool_calls:
        return "asks for " + ", ".join(f"{c.tool}({c.arguments_json})" for c in step.tool_calls)
    return step.text


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"
