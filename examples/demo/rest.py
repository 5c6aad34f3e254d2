"""Malha over plain HTTP: JSON in, JSON out, server-sent events for what happens between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import aiohttp
from google.protobuf import json_format

from malha.api.gateway.v1 import run_pb2
from malha.testing.mesh import Mesh


def session(mesh: Mesh) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """An HTTP session with the mesh's address and key."""
    return aiohttp.ClientSession(
        mesh.rest_url,
        headers={"authorization": f"Bearer {mesh.api_key}"},
        timeout=aiohttp.ClientTimeout(total=120),
    )


async def create(http: aiohttp.ClientSession, question: str) -> run_pb2.Run:
    """POST /v1/runs: the run, at once."""
    async with http.post("/v1/runs", json={"input": question}) as response:
        response.raise_for_status()
        return json_format.Parse(await response.text(), run_pb2.Run())


async def get(http: aiohttp.ClientSession, run_id: str) -> run_pb2.Run:
    """GET /v1/runs/{run_id}."""
    async with http.get(f"/v1/runs/{run_id}") as response:
        response.raise_for_status()
        return json_format.Parse(await response.text(), run_pb2.Run())


async def events(http: aiohttp.ClientSession, run_id: str) -> AsyncIterator[run_pb2.RunEvent]:
    """GET /v1/runs/{run_id}/events: each event as it happens, until the run is over."""
    async with http.get(f"/v1/runs/{run_id}/events") as response:
        response.raise_for_status()
        async for line in response.content:
            if line.startswith(b"data:"):
                yield json_format.Parse(line[5:].strip(), run_pb2.RunEvent())
