"""Nothing that came from outside is read, and nothing a model wrote is shown, before the guard has seen it.

Only what comes out of here may be journaled.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from malha.api.guard.v1.guard_service_pb2 import CheckRequest, Judgement, Stage
from malha.api.run.v1.record_pb2 import Action, StepOutcome, Verdict
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha_planner.lease import Lease
from malha_planner.patience import patiently
from malha_planner.ports import Guard

_TEXTS = 64  # the contract's limit of one Check
_RESULT = "text", "error_text"
_PASSAGE = "document", "section", "quote"
_STRICTNESS = (
    Action.ACTION_UNSPECIFIED,
    Action.ACTION_ALLOW,
    Action.ACTION_FLAG,
    Action.ACTION_MASK,
    Action.ACTION_BLOCK,
)


class Screen:
    """The guard, for one run."""

    def __init__(self, guard: Guard, lease: Lease, *, agent: str) -> None:
        self._guard = guard
        self._lease = lease
        self._agent = agent

    async def output(self, text: str) -> Judgement:
        """What a caller may see of a model's whole text: the same, masked, or the guard's safe answer."""
        return (await self._judge(Stage.STAGE_OUTPUT, [text]))[0]

    async def results(self, results: Sequence[ToolResult]) -> list[Verdict]:
        """Change the results into what a model may read; the verdict of each.

        Each result's text, error and passages are judged; the strictest judgement is its verdict. A
        blocked result keeps the guard's replacement alone.
        """
        places: list[tuple[int, Message, str]] = []
        texts: list[str] = []
        for number, result in enumerate(results):
            result.result_json = ""  # its text is what the model reads; unread, it would be unguarded
            for part in (result, *result.citations):
                for name in _RESULT if part is result else _PASSAGE:
                    if text := getattr(part, name):
                        places.append((number, part, name))
                        texts.append(text)
        verdicts = [Verdict() for _ in results]
        judged = await self._judge(Stage.STAGE_TOOL_RESULT, texts)
        for (number, part, name), judgement in zip(places, judged, strict=True):
            setattr(part, name, judgement.text)
            verdicts[number] = _stricter(verdicts[number], judgement.verdict)
        for result, verdict in zip(results, verdicts, strict=True):
            if verdict.action == Action.ACTION_BLOCK:
                result.outcome = StepOutcome.STEP_OUTCOME_BLOCKED
                del result.citations[:]
        return verdicts

    async def _judge(self, stage: Stage, texts: Sequence[str]) -> list[Judgement]:
        judged: list[Judgement] = []
        for start in range(0, len(texts), _TEXTS):
            request = CheckRequest(stage=stage, texts=texts[start : start + _TEXTS], agent=self._agent)
            answer = await patiently(self._lease, lambda: self._guard.check(request))  # noqa: B023 - awaited at once
            judged.extend(answer.judgements)
        if len(judged) != len(texts):
            raise RuntimeError("the guard judged another number of texts than it was given")
        return judged


def _stricter(one: Verdict, other: Verdict) -> Verdict:
    """The stricter action with the rules of both."""
    strict = max(one, other, key=lambda verdict: _STRICTNESS.index(verdict.action))
    rules = dict.fromkeys([*one.rules, *other.rules])
    return Verdict(action=strict.action, rules=rules, policy=strict.policy or one.policy)
