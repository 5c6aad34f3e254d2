"""A breaker opens on failures in a row, stays open for its time, then lets one call try."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from malha.errors import ErrorReason, MalhaError, invalid, unavailable
from malha.limits.breaker import Breaker, BreakerOpenError
from malha.testing.clock import FakeClock


async def fail(breaker: Breaker, error: BaseException | None = None) -> None:
    with pytest.raises(type(error or unavailable("x"))):
        async with breaker:
            raise error or unavailable("x")


async def succeed(breaker: Breaker) -> None:
    async with breaker:
        pass


async def opened(clock: FakeClock) -> Breaker:
    breaker = Breaker("callee", fail_max=2, reset_seconds=10, clock=clock)
    await fail(breaker)
    await fail(breaker)
    assert breaker.state == "open"
    return breaker


async def test_failures_in_a_row_open_it_and_the_refusal_says_when_to_come_back() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    clock.advance(4)
    with pytest.raises(BreakerOpenError) as refused:
        await succeed(breaker)
    assert refused.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert refused.value.retry_after == pytest.approx(6)


async def test_the_error_that_opens_it_reaches_the_caller_unchanged() -> None:
    breaker = Breaker("callee", fail_max=1)
    error = ValueError("the original")
    with pytest.raises(ValueError, match="the original") as seen:
        async with breaker:
            raise error
    assert seen.value is error


async def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker("callee", fail_max=2)
    await fail(breaker)
    await succeed(breaker)
    await fail(breaker)
    assert breaker.state == "closed"


async def test_an_unwelcome_answer_of_a_healthy_callee_is_no_failure() -> None:
    breaker = Breaker("callee", fail_max=1)
    await fail(breaker, invalid("field", "is wrong"))
    await fail(breaker, MalhaError(ErrorReason.ERROR_REASON_OVERLOADED, "busy"))
    assert breaker.state == "closed"


async def test_a_cancelled_call_counts_neither_way() -> None:
    breaker = Breaker("callee", fail_max=2)
    await fail(breaker)
    await fail(breaker, asyncio.CancelledError())
    assert breaker.state == "closed"
    await fail(breaker)
    assert breaker.state == "open"


async def test_an_end_that_tells_nothing_of_the_callee_counts_neither_way() -> None:
    clock = FakeClock()
    tells = {LookupError: None, MalhaError: True}
    breaker = Breaker(
        "callee", fail_max=2, reset_seconds=10, counts=lambda error: tells[type(error)], clock=clock
    )
    await fail(breaker)
    await fail(breaker, LookupError())
    await fail(breaker)
    assert breaker.state == "open"
    clock.advance(10)
    await fail(breaker, LookupError())
    assert breaker.state == "half-open", "the trial told nothing"
    await succeed(breaker)
    assert breaker.state == "closed"


async def test_half_open_lets_one_call_through_and_its_success_closes() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    clock.advance(10)
    answer = asyncio.Event()

    async def trial() -> None:
        async with breaker:
            await answer.wait()

    task = asyncio.create_task(trial())
    await asyncio.sleep(0)
    assert breaker.state == "half-open"
    for _ in range(3):
        with pytest.raises(BreakerOpenError):
            await succeed(breaker)
    answer.set()
    await task
    assert breaker.state == "closed"
    await succeed(breaker)


async def test_a_failed_trial_opens_it_for_the_whole_time_again() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    clock.advance(10)
    await fail(breaker)
    clock.advance(9)
    with pytest.raises(BreakerOpenError):
        await succeed(breaker)
    clock.advance(1)
    await succeed(breaker)
    assert breaker.state == "closed"


async def test_a_cancelled_trial_leaves_the_question_open_for_the_next_call() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    clock.advance(10)
    await fail(breaker, asyncio.CancelledError())
    assert breaker.state == "half-open"
    await succeed(breaker)
    assert breaker.state == "closed"


async def test_a_trial_that_never_reports_does_not_hold_its_permit_for_ever() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    clock.advance(10)
    await asyncio.create_task(breaker.__aenter__())  # its task ends without leaving the block
    with pytest.raises(BreakerOpenError):
        await succeed(breaker)
    clock.advance(10)
    await succeed(breaker)
    assert breaker.state == "closed"


async def test_a_trial_that_takes_longer_than_the_rest_still_closes_it_when_it_succeeds() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    answers = [asyncio.Event() for _ in range(3)]

    async def trial(answer: asyncio.Event) -> None:
        async with breaker:
            await answer.wait()

    trials = []
    for answer in answers:
        clock.advance(10)
        trials.append(asyncio.create_task(trial(answer)))
        await asyncio.sleep(0)
    answers[0].set()
    await trials[0]
    assert breaker.state == "closed"
    answers[1].set()
    answers[2].set()
    await asyncio.gather(*trials)


async def test_a_trial_that_ends_after_another_has_failed_says_nothing() -> None:
    clock = FakeClock()
    breaker = await opened(clock)
    answer = asyncio.Event()

    async def slow_trial() -> None:
        async with breaker:
            await answer.wait()

    clock.advance(10)
    trial = asyncio.create_task(slow_trial())
    await asyncio.sleep(0)
    clock.advance(10)
    await fail(breaker)
    answer.set()
    await trial
    assert breaker.state == "open"


async def test_an_old_call_that_ends_after_the_opening_says_nothing() -> None:
    clock = FakeClock()
    breaker = Breaker("callee", fail_max=2, clock=clock)
    answer = asyncio.Event()

    async def old() -> None:
        async with breaker:
            await answer.wait()

    task = asyncio.create_task(old())
    await asyncio.sleep(0)
    await fail(breaker)
    await fail(breaker)
    answer.set()
    await task
    assert breaker.state == "open"


async def test_its_state_is_exported() -> None:
    clock = FakeClock()
    breaker = await opened(clock)

    def exported() -> float | None:
        return REGISTRY.get_sample_value("malha_breaker_state", {"breaker": "callee"})

    assert exported() == 2
    clock.advance(10)
    await succeed(breaker)
    assert exported() == 0
