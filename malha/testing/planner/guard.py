"""A guard that withholds a word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from malha.api.guard.v1.guard_service_pb2 import (
    CheckRequest,
    CheckResponse,
    FilterStreamRequest,
    FilterStreamResponse,
    Judgement,
)
from malha.api.run.v1.record_pb2 import Action, Verdict
from malha.errors import ErrorReason, MalhaError


class WordGuard:
    """Blocks texts with "poison" in them and masks the word "secret"."""

    def __init__(self) -> None:
        self.checked: list[CheckRequest] = []
        self.streamed = 0
        """Parts of texts that were given to be filtered."""
        self.deaf = False
        """Whether streams are refused."""

    async def check(self, request: CheckRequest) -> CheckResponse:
        self.checked.append(request)
        return CheckResponse(judgements=[self._judge(text) for text in request.texts])

    async def filter(
        self, requests: AsyncIterator[FilterStreamRequest]
    ) -> AsyncGenerator[FilterStreamResponse, None]:
        """Lets whole words through; a block takes back what was let through."""
        text = through = ""
        async for request in requests:
            self.streamed += 1
            if self.deaf:
                raise MalhaError(ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, "the guard is away")
            text += request.text
            known = self._judge(text[: text.rfind(" ") + 1])
            if known.verdict.action == Action.ACTION_BLOCK:
                known.verdict.streamed = bool(through)
                yield FilterStreamResponse(text=known.text, reset=bool(through), judgement=known)
                return
            yield FilterStreamResponse(text=known.text.removeprefix(through))
            through = known.text
        whole = self._judge(text)
        whole.verdict.streamed = bool(through)
        rest = whole.text.removeprefix(through)
        yield FilterStreamResponse(text=rest, reset=not whole.text.startswith(through), judgement=whole)

    @staticmethod
    def _judge(text: str) -> Judgement:
        if "poison" in text:
            verdict = Verdict(action=Action.ACTION_BLOCK, rules=["poison"], policy="v1")
            return Judgement(verdict=verdict, text="[withheld]", message="withheld by policy")
        if "secret" in text:
            verdict = Verdict(action=Action.ACTION_MASK, rules=["secret"], policy="v1")
            return Judgement(verdict=verdict, text=text.replace("secret", "[masked]"))
        return Judgement(verdict=Verdict(action=Action.ACTION_ALLOW, policy="v1"), text=text)
