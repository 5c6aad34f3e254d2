"""Posting to webhooks with aiohttp, which is loaded with this module: by whoever has something to post.

Nothing is followed, remembered or read of an answer but its status. Where a connection goes is judged by
the address it is made to, so a name that stands for another address the next time gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from malha_gateway.webhook_address import Reach

_SECONDS = 10.0
_LOOKING_UP = 32
_HEADERS = {"content-type": "application/cloudevents+json", "user-agent": "malha-webhooks/1"}


class ForbiddenError(OSError):
    """The address is not one that webhooks may reach."""


class HttpSender:
    """`malha_gateway.ports.Sender`."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._names = _Names()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        secure = url[:6].lower() == "https:"
        session = self._sessions.get(secure) or self._open(secure)
        try:
            async with (
                asyncio.timeout(_SECONDS),
                session.post(url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return response.status, ""
        except TimeoutError:
            return 0, "no answer in time"
        except aiohttp.ClientConnectorCertificateError:
            return 0, "its certificate is not valid"
        except aiohttp.ClientConnectorError as error:
            forbidden = isinstance(error.os_error, ForbiddenError)
            return 0, "its address may not be reached" if forbidden else "no connection"
        except (aiohttp.ClientError, OSError, ValueError):
            return 0, "no connection"

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        await self._names.close()

    def _open(self, secure: bool) -> aiohttp.ClientSession:
        def made(address: AddrInfoType) -> socket.socket:
            family, kind, proto, _, where = address
            if not self._reach.allows(ip_address(str(where[0]).partition("%")[0]), secure=secure):
                raise ForbiddenError("not reached")
            opened = socket.socket(family, kind, proto)
            opened.setblocking(False)
            return opened

        self._sessions[secure] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # whoever sends says how much at once
                resolver=self._names,
                keepalive_timeout=15.0,
                socket_factory=made,
                use_dns_cache=False,
            ),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self._sessions[secure]


class _Names(AbstractResolver):
    """Looks names up in threads of its own: a name server that does not answer holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKING_UP, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, socket.getaddrinfo, host, port, family, socket.SOCK_STREAM
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(where[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, where in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
