"""Parts with one safety taken out, to show that the suite finds it.

Each stands in a service's composition root in the place of the sound part, in a mesh that only a test
starts. No shipped code knows of them.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

from malha.run import Entry, Fenced, Position


def _unfenced_appender(part: Any) -> Any:
    """Who was fenced writes all the same, behind whatever others wrote."""

    class Unfenced(part):  # type: ignore[misc] # the part is known at run time only
        async def append(self, record: Any, *, expected: int) -> Entry:
            while True:
                try:
                    entry: Entry = await super().append(record, expected=expected)
                except Fenced as fenced:
                    expected = fenced.entries[-1].sequence
                else:
                    return entry

    return Unfenced


def _forgetful_effects(part: Any) -> Any:
    """Nothing is remembered of what began or was done."""

    class Forgetful(part):  # type: ignore[misc] # the part is known at run time only
        async def begin(self, _effect: Any) -> None:
            return None

        async def finish(self, _effect: Any, result: Any) -> Any:
            return result

    return Forgetful


def _keyless_settlement(part: Any) -> Any:
    """Each settlement is an entry of its own: settling twice pays twice."""

    class Keyless(part):  # type: ignore[misc] # the part is known at run time only
        async def change(self, question: Any, now: Any, decide: Callable[[Any, Any], Any]) -> Any:
            def forgetting(question: Any, known: Any) -> Any:
                again = {one.key for one in question.settle if len(known.histories[one.key]) > 1}
                for key in again:
                    del known.histories[key][1:]
                decision = decide(question, known)
                entries = [
                    entry._replace(key=f"{entry.key}#{secrets.token_hex(4)}", reserved=0, held_tokens=0)
                    if entry.key in again
                    else entry
                    for entry in decision.entries
                ]
                return decision._replace(entries=entries)

            return await super().change(question, now, forgetting)

    return Keyless


def _forgetful_announcer(part: Any) -> Any:
    """A follower that begins does not know what was announced."""

    class Cursorless(part):  # type: ignore[misc] # the part is known at run time only
        async def last(self) -> tuple[int, Position]:
            fence, _ = await super().last()
            return fence, Position(0, 0)

    return Cursorless


def _forgetful_table(part: Any) -> Any:
    class Cursorless(part):  # type: ignore[misc] # the part is known at run time only
        async def followed(self) -> int:
            return 0

    return Cursorless


def _hasty_worker(part: Any) -> Any:
    """The item is acknowledged before anything is done about it."""

    class Hasty(part):  # type: ignore[misc] # the part is known at run time only
        async def handle(self, item: Any) -> None:
            await item.ack()
            await super().handle(item)

    return Hasty


def _gappy_telling(part: Any) -> Any:
    """What a reader misses of a text is not made up for."""

    class Gappy(part):  # type: ignore[misc] # the part is known at run time only
        async def follow(self, *place: Any, **how: Any) -> AsyncIterator[Any]:
            parts = 0
            async for event in super().follow(*place, **how):
                told = event is not None and event.HasField("delta")
                parts += told
                if not told or parts % 3:
                    yield event

    return Gappy


PARTS: dict[str, tuple[str, dict[str, Callable[[Any], Any]]]] = {
    "unfenced-appender": ("planner", {"NatsJournal": _unfenced_appender}),
    "forgetful-effects": ("tools", {"SqliteEffectRecords": _forgetful_effects}),
    "keyless-settlement": ("cost", {"SqliteLedger": _keyless_settlement}),
    "cursorless-follower": (
        "planner",
        {"NatsAnnouncer": _forgetful_announcer, "SqliteRunsTable": _forgetful_table},
    ),
    "early-ack": ("planner", {"Worker": _hasty_worker}),
    "gappy-telling": ("gateway", {"Following": _gappy_telling}),
}
"""By name: the service it stands in, and what it takes the place of."""


def put_into(service: str, app: ModuleType, name: str) -> None:
    """Put the broken part called ``name`` into the service's composition root, if it belongs there."""
    if not name:
        return
    where, parts = PARTS[name]
    if where == service:
        for known_as, breaks in parts.items():
            setattr(app, known_as, breaks(getattr(app, known_as)))
