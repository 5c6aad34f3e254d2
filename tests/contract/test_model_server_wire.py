"""The scripted model server speaks OpenAI's wire format: the real openai SDK is the judge."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest

from malha.testing.model_server import ModelServer

ASK: list[Any] = [{"role": "user", "content": "What is 17 * 23?"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "calculator", "parameters": {"type": "object", "properties": {}}},
    }
]


@asynccontextmanager
async def scripted(*rules: dict[str, Any]) -> AsyncIterator[tuple[ModelServer, openai.AsyncOpenAI]]:
    async with (
        ModelServer({"rules": list(rules)}) as server,
        openai.AsyncOpenAI(api_key="k", base_url=server.base_url, max_retries=0) as client,
    ):
        yield server, client


async def test_a_text_and_its_usage_arrive_whole() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "cached_tokens": 4, "reasoning_tokens": 2}
    async with scripted({"text": "391", "usage": usage}) as (_, client):
        reply = await client.chat.completions.create(model="m", messages=ASK)
    assert reply.choices[0].message.content == "391"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (12, 5, 17)
    assert reply.usage.prompt_tokens_details is not None
    assert reply.usage.prompt_tokens_details.cached_tokens == 4
    assert reply.usage.completion_tokens_details is not None
    assert reply.usage.completion_tokens_details.reasoning_tokens == 2


async def test_a_conversation_is_scripted_turn_by_turn_and_placeholders_are_filled() -> None:
    first = {"turn": 0, "tool_calls": [{"name": "calculator", "arguments": {"expression": "17 * 23"}}]}
    async with scripted(first, {"turn": 1, "text": "It is {tool}."}) as (server, client):
        reply = await client.chat.completions.create(model="m", messages=ASK, tools=TOOLS)
        message = reply.choices[0].message
        assert reply.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls is not None
        call = message.tool_calls[0]
        assert call.type == "function"
        assert orjson.loads(call.function.arguments) == {"expression": "17 * 23"}
        said: list[Any] = [message.model_dump(exclude_none=True)]
        said.append({"role": "tool", "tool_call_id": call.id, "content": "391"})
        reply = await client.chat.completions.create(model="m", messages=ASK + said, tools=TOOLS)
    assert reply.choices[0].message.content == "It is 391."
    assert len(server.requests) == 2
    assert server.requests[0].headers["Authorization"] == "Bearer k"


async def test_a_stream_assembles_to_the_same_text_calls_and_usage() -> None:
    rule = {
        "text": "one moment, please",
        "tool_calls": [{"name": "calculator", "arguments": {"expression": "1 + 1"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    async with (
        scripted(rule) as (_, client),
        client.chat.completions.stream(
            model="m", messages=ASK, tools=TOOLS, stream_options={"include_usage": True}
        ) as stream,
    ):
        reply = await stream.get_final_completion()
    message = reply.choices[0].message
    assert message.content == "one moment, please"
    assert message.tool_calls is not None
    assert orjson.loads(message.tool_calls[0].function.arguments) == {"expression": "1 + 1"}
    assert reply.choices[0].finish_reason == "tool_calls"
    assert reply.usage is not None
    assert reply.usage.total_tokens == 10


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
async def test_errors_carry_status_code_and_headers(status: int, error: type[openai.APIStatusError]) -> None:
    rule = {"status": status, "error": {"code": "why"}, "headers": {"Retry-After": "2"}}
    async with scripted(rule) as (_, client):
        with pytest.raises(error) as caught:
            await client.chat.completions.create(model="m", messages=ASK)
    assert caught.value.code == "why"
    assert caught.value.response.headers["Retry-After"] == "2"


@pytest.mark.parametrize("when", ["before", "middle"])
async def test_a_cut_connection_is_a_connection_error(when: str) -> None:
    async with scripted({"text": "never seen whole", "disconnect": when}) as (_, client):
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="m", messages=ASK)


async def test_a_rule_answers_so_often_and_no_more_and_the_next_takes_over() -> None:
    rules = ({"times": 1, "status": 500}, {"user": "17", "model": "m", "text": "then this"})
    async with scripted(*rules) as (server, client):
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=ASK)
        reply = await client.chat.completions.create(model="m", messages=ASK)
        assert reply.choices[0].message.content == "then this"
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="another", messages=ASK)
    assert caught.value.code == "no_rule"
    assert server.answered == 2


async def test_latency_is_waited_before_the_answer() -> None:
    async with scripted({"text": "late", "latency_ms": 10_000}) as (server, client):
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="m", messages=ASK, timeout=0.2)
    assert server.answered == 1


async def test_it_runs_as_a_process_that_tells_its_port_and_ends_on_sigterm(tmp_path: Path) -> None:
    script, port_file = tmp_path / "script.json", tmp_path / "port"
    script.write_bytes(orjson.dumps({"rules": [{"text": "from a process"}]}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "malha.testing.model_server"),
        *("--script", str(script), "--port-file", str(port_file)),
        env={**os.environ},
    )
    try:
        async with asyncio.timeout(20):
            while not port_file.exists():
                assert process.returncode is None
                await asyncio.sleep(0.01)
        base_url = f"http://127.0.0.1:{port_file.read_text()}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=base_url, max_retries=0) as client:
            reply = await client.chat.completions.create(model="m", messages=ASK)
        assert reply.choices[0].message.content == "from a process"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
