"""A model provider that says what a script tells it to, over real HTTP.

Benchmarks and tests need a provider that is real on the wire and holds no surprises: tool calls,
usage, errors, latency, broken connections and streams are written down beforehand, in rules that
`malha.testing.model_script` explains. It shares a benchmark's cores, so a request costs one JSON
parse and most answers are encoded once.

In a process of its own: `python -m malha.testing.model_server --script FILE --port-file F`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from malha.testing.model_script import Rule, error_body, facts_of

_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came: the parsed body and the caller's headers."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def user(self) -> str:
        """The user's last words in a chat request."""
        return facts_of(self.body).user


class ModelServer:
    """The server: `async with ModelServer(script) as server:` serves on `server.base_url`."""

    def __init__(self, script: Mapping[str, Any], *, keep: int = _MOST_KEPT) -> None:
        """
        Args:
            script: {"rules": [...]}; a request that no rule takes gets HTTP 404 with code "no_rule".
            keep: how many requests to remember; 0 remembers none, for benchmarks.
        """
        self.requests: deque[Received] = deque(maxlen=keep)
        self.answered = 0
        """Requests that a rule took, failures and broken connections included."""
        self.hung_up = 0
        """Callers that went before they had their answer."""
        self.port = 0
        self._peers: set[object] = set()
        self._rules = [Rule(raw) for raw in script["rules"]]
        self._runner: web.ServerRunner | None = None

    def add(self, *rules: Mapping[str, Any]) -> Sequence[Rule]:
        """Take further rules, before those that are there; they count how often they answer."""
        added = [Rule(rule) for rule in rules]
        self._rules[:0] = added
        return added

    @property
    def connections(self) -> int:
        """How many connections brought requests."""
        return len(self._peers)

    @property
    def base_url(self) -> str:
        """What a client is given as base URL, `/v1` included."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self, port: int = 0) -> int:
        """Serves on loopback; the port."""
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]
        return self.port

    async def close(self) -> None:
        """Stops serving; requests under way are dropped after half a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> ModelServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST" or not request.path.endswith("/chat/completions"):
            return _refused(404, {"code": "unknown_url", "message": "POST /v1/chat/completions is served"})
        try:
            body = orjson.loads(await request.read())
            facts = facts_of(body)
        except (ValueError, KeyError, TypeError):
            return _refused(400, {"code": "invalid_request", "message": "no chat request in JSON"})
        if self.requests.maxlen:
            self._peers.add(request.transport and request.transport.get_extra_info("peername"))
            self.requests.append(Received(body, dict(request.headers)))
        rule = next((rule for rule in self._rules if rule.takes(facts)), None)
        if rule is None:
            return _refused(404, {"code": "no_rule", "message": "no rule of the script matches"})
        self.answered += 1
        if latency := rule.raw.get("latency_ms"):
            try:
                await asyncio.sleep(latency / 1000)
            except asyncio.CancelledError:
                self.hung_up += 1
                raise
        if rule.raw.get("disconnect") == "before":
            return _cut(request, web.Response())
        if "status" in rule.raw:
            refusal = _refused(rule.raw["status"], rule.raw.get("error", {}), rule.raw.get("headers"))
            return await self._perhaps_half(request, rule, refusal)
        if body.get("stream") and not rule.raw.get("unstreamed"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            try:
                return await _stream(request, rule, rule.events(facts, with_usage=with_usage))
            except asyncio.CancelledError:
                self.hung_up += 1
                raise
        answer = web.Response(body=rule.whole(facts), content_type="application/json")
        return await self._perhaps_half(request, rule, answer)

    async def _perhaps_half(
        self, request: web.BaseRequest, rule: Rule, answer: web.Response
    ) -> web.StreamResponse:
        hang = rule.raw.get("hang")
        if not hang and rule.raw.get("disconnect") != "middle":
            return answer
        assert isinstance(answer.body, bytes)
        half = web.StreamResponse(status=answer.status, headers=answer.headers)
        half.content_length = len(answer.body)
        await half.prepare(request)
        await half.write(answer.body[: len(answer.body) // 2])
        if hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.hung_up += 1
                raise
        return _cut(request, half)


async def _stream(request: web.BaseRequest, rule: Rule, events: list[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for place, event in enumerate(events):
        if rule.raw.get("disconnect") == "middle" and place >= len(events) // 2:
            return _cut(request, response)
        await response.write(event)
        if (pause := rule.raw.get("chunk_ms")) and place + 1 >= rule.raw.get("first_chunks", 0):
            await asyncio.sleep(pause / 1000)
    if rule.raw.get("hang"):
        await asyncio.Event().wait()
    await response.write_eof()
    return response


def _cut(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """Drops the connection as a crashed server would."""
    if request.transport is not None:
        request.transport.abort()
    return response


def _refused(status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=error_body(error), content_type="application/json", headers=headers
    )


async def _serve(script: Mapping[str, Any], port_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ModelServer(script, keep=0) as server:
        if port_file is not None:
            _write(port_file, str(server.port))
        await stop.wait()


def _write(path: Path, text: str) -> None:
    """Renamed into place, so that whoever waits for the file never reads half of it."""
    unready = path.with_suffix(".unready")
    unready.write_text(text)
    unready.rename(path)


def main() -> None:
    """Serves until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="A scripted model server in OpenAI's chat wire format.")
    parser.add_argument("--script", type=Path, required=True, help="JSON file with the rules")
    parser.add_argument("--port-file", type=Path, help="file to write the bound port to, once it serves")
    options = parser.parse_args()
    asyncio.run(_serve(orjson.loads(options.script.read_bytes()), options.port_file))


if __name__ == "__main__":
    main()
