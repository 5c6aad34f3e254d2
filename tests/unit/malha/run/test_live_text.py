"""A text put together from what is told of it: parts may be lost, come twice, or be a fenced worker's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from malha.api.run.v1.delta_pb2 import Delta
from malha.run import LiveText


def take(
    live: LiveText, offset: int, text: str, *, key: str = "a", epoch: int = 5, reset: bool = False
) -> bool:
    return live.take(Delta(key=key, step=1, epoch=epoch, offset=offset, reset=reset), text)


@given(
    st.text(max_size=30), st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["told", "lost", "whole"])))
)
def test_it_is_always_a_beginning_of_what_was_said_and_all_of_it_once_the_whole_is_told(
    text: str, parts: list[tuple[int, str]]
) -> None:
    live, said, before = LiveText(), 0, ""
    for size, how in parts:
        offset, said = said, min(len(text), said + size)
        if how != "lost":
            start = 0 if how == "whole" else offset
            take(live, start, text[start:said])
        assert text[:said].startswith(live.text)
        assert live.text.startswith(before), "it only grows"
        before = live.text
        if how == "whole":
            assert live.text == text[:said]


def test_what_a_fenced_worker_goes_on_telling_is_not_heard() -> None:
    live = LiveText()
    take(live, 0, "one two")
    assert take(live, 0, "other", key="b", epoch=9)
    assert not take(live, 7, " three")
    assert not take(live, 0, "one two three")
    assert (live.text, live.key, live.epoch) == ("other", "b", 9)


def test_a_reset_takes_back_what_was_told_and_parts_of_a_text_without_a_beginning_wait() -> None:
    live = LiveText()
    assert not take(live, 4, "two")
    assert take(live, 0, "one two")
    assert take(live, 0, "no", reset=True)
    assert not take(live, 0, "no", reset=True), "told twice"
    assert live.text == "no"
