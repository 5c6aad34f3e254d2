"""The mesh's output never holds the mesh up, whatever becomes of its reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from malha.stack.console import Console


class Page:
    """A reader of the output, who may pause or have no room."""

    def __init__(self) -> None:
        self.text = ""
        self.room = threading.Event()
        self.room.set()
        self.full = False
        self.refusals = threading.Semaphore(0)

    def __call__(self, data: bytes) -> None:
        assert self.room.wait(10)
        if self.full:
            self.refusals.release()
            raise OSError(28, "no space left")
        self.text += data.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    yield page
    page.room.set()


def test_every_line_is_written_in_order_before_the_end(page: Page) -> None:
    with Console(page) as console:
        for number in range(300):
            console.say("nats", f"line {number}")
    assert page.lines == [f"nats        | line {number}" for number in range(300)]


def test_a_reader_who_pauses_holds_up_nobody_and_is_told_what_was_left_out(page: Page) -> None:
    with Console(page, waiting=10) as console:
        page.room.clear()
        for number in range(100):
            console.say("nats", f"line {number}")  # returns
        page.room.set()
    read = [line for line in page.lines if line.startswith("nats ")]
    assert read == [f"nats        | line {number}" for number in range(len(read))]
    assert 10 <= len(read) < 100
    assert set(page.lines) - set(read) == {f"malha       | {100 - len(read)} lines were left out"}


def test_a_disk_that_was_full_is_no_harm_and_the_gap_is_told_once_there_is_room(page: Page) -> None:
    with Console(page) as console:
        page.full = True
        for number in range(5):
            console.say("nats", f"line {number}")
        assert all(page.refusals.acquire(timeout=10) for _ in range(5))
        page.full = False
        console.say("nats", "back")
        console.say("nats", "and on")
    assert page.lines == [
        "malha       | 5 lines were left out",
        "nats        | back",
        "nats        | and on",
    ]


def test_a_reader_who_never_comes_back_does_not_keep_the_mesh_from_ending(page: Page) -> None:
    console = Console(page, waiting=10, patience=0.05)
    with console:
        page.room.clear()
        for number in range(100):
            console.say("nats", f"line {number}")
    assert page.text == ""
