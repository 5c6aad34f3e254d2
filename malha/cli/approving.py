"""Deciding from a terminal: what waits, exactly what would run, and one's word on it.

Whoever decides types the beginning of the hash they were shown, so that nobody approves by habit what
they have not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from malha.api.gateway.v1 import run_pb2
from malha.api.run.v1 import record_pb2
from malha.client import Client, ErrorReason, MalhaError
from malha.errors import invalid

REASONS = ("APPROVAL_REQUIRED", "OUTCOME_UNKNOWN")
"""Why a run waits that goes on when a person has decided."""
_LEAST = 8

Run = Annotated[str, typer.Argument(help="The run that waits.")]
Hash = Annotated[str, typer.Option("--hash", help="The hash shown, or its beginning; asked for if left out.")]
Comment = Annotated[str, typer.Option(help="Kept in the journal; of a rejection the agent is told.")]


def add_commands(app: typer.Typer, console: Console, run_command: Callable[[Any], None]) -> None:
    """Give the app its commands about approvals."""

    @app.command()
    def approvals() -> None:
        """List what waits for your decision."""

        async def main(client: Client) -> int:
            waiting = [approval async for approval in client.approvals()]
            for approval in waiting:
                console.print(panel(approval))
            if not waiting:
                console.print("nothing waits for you")
            return 0

        run_command(main)

    def decide(
        run_id: str, hash_: str, decision: record_pb2.Decision, comment: str = "", result: str = ""
    ) -> None:
        async def main(client: Client) -> int:
            run = await client.run(run_id)
            approval = chosen(console, run, hash_)
            run = await client.decide(
                run_id, approval.hash, decision, comment=comment, result=result, step=approval.step
            )
            word = record_pb2.Decision.Name(decision).removeprefix("DECISION_").lower().replace("_", " ")
            still = [one for one in run.approvals if one.status == run_pb2.APPROVAL_STATUS_PENDING]
            console.print(f"{word}; " + ("the run still waits" if still else "the run goes on"))
            return 0

        run_command(main)

    @app.command()
    def approve(run_id: Run, hash_: Hash = "", comment: Comment = "") -> None:
        """Let a call run that waits for leave."""
        decide(run_id, hash_, record_pb2.DECISION_APPROVE, comment)

    @app.command()
    def reject(
        run_id: Run,
        hash_: Hash = "",
        comment: Comment = "",
        end_run: Annotated[bool, typer.Option(help="End the run, whatever its agent declares.")] = False,
    ) -> None:
        """Let a call not run."""
        decision = record_pb2.DECISION_END_RUN if end_run else record_pb2.DECISION_REJECT
        decide(run_id, hash_, decision, comment)

    @app.command()
    def settle(
        run_id: Run,
        happened: Annotated[str, typer.Option(help="It took effect: what came of it.")] = "",
        did_not_happen: Annotated[bool, typer.Option(help="It did not: run it again.")] = False,
        hash_: Hash = "",
        comment: Comment = "",
    ) -> None:
        """Say what became of a call whose outcome nobody knows."""
        if bool(happened) == did_not_happen:
            raise typer.BadParameter("say either --happened or --did-not-happen")
        decision = record_pb2.DECISION_HAPPENED if happened else record_pb2.DECISION_DID_NOT_HAPPEN
        decide(run_id, hash_, decision, comment, happened)


def chosen(console: Console, run: run_pb2.Run, hash_: str) -> run_pb2.Approval:
    """The waiting approval whose hash begins so; what waits is shown, and the hash asked for, if need be."""
    waiting = [one for one in run.approvals if one.status == run_pb2.APPROVAL_STATUS_PENDING]
    if not waiting:
        raise MalhaError(
            ErrorReason.ERROR_REASON_APPROVAL_NOT_PENDING, "nothing in this run waits for a decision"
        )
    if not hash_:
        for approval in waiting:
            console.print(panel(approval))
        typed: str = typer.prompt(f"type the hash, at least {_LEAST} characters of it", err=True)
        hash_ = typed.strip().lower()
    found = [one for one in waiting if len(hash_) >= _LEAST and one.hash.startswith(hash_)]
    if not found:
        raise invalid("hash", "nothing that waits in this run has a hash that begins so")
    return found[0]


def panel(approval: run_pb2.Approval) -> Panel:
    """What somebody is asked, whole."""
    risk = record_pb2.Risk.Name(approval.risk).removeprefix("RISK_").lower()
    lines = [escape(approval.summary), f"arguments {escape(approval.arguments_json)}"]
    if approval.outcome_unknown:
        title = "outcome unknown"
        lines.append("did it happen? malha settle")
    else:
        title = f"{risk} risk"
        said = sum(1 for one in approval.decisions if one.decision == record_pb2.DECISION_APPROVE)
        lines.append(f"approved by {said} of {approval.approvals_needed}, policy {escape(approval.policy)}")
        lines.append(f"until {approval.expire_time.ToJsonString()}")
        lines.append("may it run? malha approve, malha reject")
    lines += [f"run {approval.run_id} step {approval.step}, started by {escape(approval.initiator)}"]
    lines += [f"hash {approval.hash}"]
    return Panel("\n".join(lines), title=f"{escape(approval.agent)}: {title}", border_style="yellow")
