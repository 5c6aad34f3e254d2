"""The law of deltas: put together they are the finished text, whatever was cut, lost, told twice or void."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from malha.api.gateway.v1.run_pb2 import RunEvent, Step, StepStatus
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.run.v1.record_pb2 import StepKind
from malha.client import RunText
from malha.run import LiveText, Position, StreamPosition, parse_stream_position, run_id_for, step_key
from malha_gateway.telling import Telling

RUN = run_id_for("acme", "one")
SAFE = "The answer was withheld."
TEXTS = st.text("ab 漢😀", max_size=30)


@dataclass
class Attempt:
    """A model writes: `text` is all it will say, `said` how much of it was let through."""

    step: int
    epoch: int
    leg: int
    text: str
    said: int = 0
    blocked: bool = False
    again: bool = False

    @property
    def key(self) -> str:
        return step_key("acme", RUN, self.step, self.epoch, self.leg)

    def delta(self, offset: int) -> tuple[Delta, str]:
        told = SAFE if self.blocked else self.text[: self.said]
        reset = (self.blocked or self.again) and not offset
        made = Delta(key=self.key, step=self.step, epoch=self.epoch, offset=offset, reset=reset)
        return made, told[offset:]


@dataclass
class Reader:
    """One caller: the events it was told, and what it makes of them."""

    events: list[RunEvent] = field(default_factory=list)
    text: RunText = field(default_factory=RunText)
    gateway: int = 0
    place: int = 0
    """How many of the journal's events it was told."""

    stream: Iterator[RunEvent | None] | None = None

    def __post_init__(self) -> None:
        self.telling = Telling(StreamPosition(Position(0, 0)))

    @property
    def after(self) -> Position:
        return Position(self.place, 0)

    def move(self) -> None:
        """Be cut, and come back to the other gateway with the last position seen."""
        position = parse_stream_position(self.events[-1].position if self.events else "0.0")
        self.place = position.event.sequence
        self.gateway = 1 - self.gateway
        self.telling = Telling(position)
        self.stream = None


class World:
    """A run, two gateways and a reader."""

    def __init__(self) -> None:
        self.journal: list[RunEvent] = []
        self.live = [LiveText(), LiveText()]
        self.reader = Reader()
        self.attempt: Attempt | None = None
        self.finished: dict[int, str] = {}

    def begin(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self._journal(step_started=Step(step=attempt.step, key=attempt.key, kind=StepKind.STEP_KIND_MODEL))

    def end(self, status: StepStatus) -> None:
        attempt, self.attempt = self.attempt, None
        assert attempt is not None
        text = SAFE if attempt.blocked else attempt.text
        whole = status in (StepStatus.STEP_STATUS_OK, StepStatus.STEP_STATUS_BLOCKED)
        self.finished[attempt.step] = text if whole else ""
        self._journal(
            step_finished=Step(
                step=attempt.step,
                key=attempt.key,
                kind=StepKind.STEP_KIND_MODEL,
                status=status,
                text=text if whole else "",
            )
        )

    def tell(self, offset: int, heard: tuple[bool, bool]) -> None:
        assert self.attempt is not None
        for live, hears in zip(self.live, heard, strict=True):
            if hears:
                live.take(*self.attempt.delta(offset))

    def read(self, most: int = 10**9) -> None:
        """Take up to so much of what the reader's gateway has to tell now."""
        reader = self.reader
        while most and (event := next(reader.stream or self._connect())) is not None:
            reader.events.append(event)
            reader.text.take(event)
            most -= 1

    def _connect(self) -> Iterator[RunEvent | None]:
        self.reader.stream = self._stream(self.reader)
        return self.reader.stream

    def _stream(self, reader: Reader) -> Iterator[RunEvent | None]:
        """What a gateway tells: the journal first, then the text of an open step; None for nothing new."""
        while True:
            while reader.place < len(self.journal):
                event = self.journal[reader.place]
                if (delta := reader.telling.before(event, reader.after)) is not None:
                    yield delta
                reader.place += 1
                yield event
                reader.telling.told(event)
            live = self.live[reader.gateway]
            if self.attempt is not None and live.key == self.attempt.key:
                yield reader.telling.live(live, reader.after)
            else:
                yield None

    def _journal(self, **event: Step) -> None:
        place = Position(len(self.journal) + 1, 0)
        self.journal.append(RunEvent(position=str(place), **event))  # type: ignore[arg-type] # one kind each


HEARD = st.tuples(st.booleans(), st.booleans())
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 9), HEARD),
        st.tuples(st.just("whole"), HEARD),
        st.tuples(st.just("read"), st.integers(0, 3)),
        st.tuples(st.just("move")),
        st.tuples(st.just("again"), st.booleans(), TEXTS),
        st.tuples(st.just("block"), HEARD),
        st.tuples(st.just("next"), TEXTS),
    ),
    max_size=30,
)


@settings(max_examples=400)
@given(TEXTS, ACTS)
def test_whatever_is_cut_lost_told_twice_or_void_the_assembled_text_is_the_finished_one(
    text: str, acts: list[tuple[object, ...]]
) -> None:
    world = World()
    world.begin(Attempt(1, 5, 1, text))
    for act in acts:
        attempt = world.attempt
        assert attempt is not None
        match act:
            case ("say", int(most), tuple(heard)) if not attempt.blocked:
                offset, attempt.said = attempt.said, min(len(attempt.text), attempt.said + most)
                world.tell(offset, heard)
            case ("whole", tuple(heard)):
                world.tell(0, heard)
            case ("block", tuple(heard)):
                attempt.blocked = True
                world.tell(0, heard)
            case ("read", int(most)):
                world.read(most)
            case ("move",):
                world.reader.move()
            case ("again", bool(taken_over), str(other)):
                world.end(StepStatus.STEP_STATUS_ABANDONED)
                epoch, leg = (attempt.epoch + 3, 1) if taken_over else (attempt.epoch, attempt.leg + 1)
                world.begin(Attempt(attempt.step, epoch, leg, other, again=True))
            case ("next", str(other)):
                world.end(_end_of(attempt))
                world.begin(Attempt(attempt.step + 1, attempt.epoch, 1, other))
    assert world.attempt is not None
    world.end(_end_of(world.attempt))
    world.read()
    told = [event for event in world.reader.events if not event.HasField("delta")]
    assert told == world.journal, "the journal's events, in order and once each"
    assert {step: world.reader.text.of(step) for step in world.finished} == world.finished
    _in_their_places(world.reader.events)


def _end_of(attempt: Attempt) -> StepStatus:
    return StepStatus.STEP_STATUS_BLOCKED if attempt.blocked else StepStatus.STEP_STATUS_OK


def _in_their_places(events: list[RunEvent]) -> None:
    """Deltas come between the start and the end of their step, and positions only grow."""
    open_step, last = 0, Position(0, 0)
    for event in events:
        place = parse_stream_position(event.position).event
        assert place >= last
        last = place
        if event.HasField("step_started"):
            open_step = event.step_started.step
        elif event.HasField("step_finished"):
            open_step = 0
        else:
            assert event.delta.step == open_step


def test_a_reader_that_misses_nothing_is_told_each_part_once_and_no_reset() -> None:
    world = World()
    world.begin(Attempt(1, 5, 1, "one two three"))
    for _ in range(5):
        assert world.attempt is not None
        offset, world.attempt.said = world.attempt.said, min(13, world.attempt.said + 4)
        world.tell(offset, (True, True))
        world.read()
    world.end(StepStatus.STEP_STATUS_OK)
    world.read()
    deltas = [event for event in world.reader.events if event.HasField("delta")]
    assert [event.delta.text for event in deltas] == ["one ", "two ", "thre", "e"]
    assert [event.position for event in deltas] == ["1.0~5.4", "1.0~5.8", "1.0~5.12", "1.0~5.13"]
    assert not any(event.delta.reset for event in deltas)


def test_the_end_of_an_attempt_without_text_says_reset_and_the_next_begins_anew() -> None:
    world = World()
    world.begin(Attempt(1, 5, 1, "one two three", said=8))
    world.tell(0, (True, True))
    world.read()
    world.end(StepStatus.STEP_STATUS_ABANDONED)
    world.begin(Attempt(1, 9, 1, "one two four", said=12, again=True))
    world.tell(0, (True, True))
    world.read()
    deltas = [event.delta for event in world.reader.events if event.HasField("delta")]
    assert [(delta.reset, delta.offset, delta.text) for delta in deltas] == [
        (False, 0, "one two "),
        (True, 0, ""),
        (False, 0, "one two four"),
    ]


def test_whoever_comes_back_is_told_the_rest_and_not_the_whole_again() -> None:
    world = World()
    world.begin(Attempt(1, 5, 1, "one two three", said=8))
    world.tell(0, (True, False))
    world.read()
    world.reader.move()
    world.read()
    assert world.reader.events[-1].position == "1.0~5.8", "the other gateway knows nothing yet"
    world.attempt = Attempt(1, 5, 1, "one two three", said=13)
    world.tell(0, (False, True))
    world.read()
    assert (world.reader.events[-1].delta.offset, world.reader.events[-1].delta.text) == (8, "three")


def test_what_the_guard_blocked_in_the_middle_is_taken_back() -> None:
    world = World()
    world.begin(Attempt(1, 5, 1, "one two three", said=8))
    world.tell(0, (True, True))
    world.read()
    world.reader.move()
    assert world.attempt is not None
    world.attempt.blocked = True
    world.end(StepStatus.STEP_STATUS_BLOCKED)
    world.read()
    assert world.reader.events[-2].delta.reset
    assert world.reader.text.text == SAFE
