"""Where a webhook may lead, and by whose word it is that receiver."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from malha.stack.secrets import Secrets
from malha.testing.receivers import Receiver
from malha.testing.tls import self_signed
from malha.testing.webhooks import Gateway, Hooks
from malha_gateway.adapters.webhook_sender import HttpSender
from malha_gateway.webhook_address import Reach


@pytest.mark.parametrize(
    ("networks", "url", "outcome"),
    [
        (["10.0.0.0/8"], "http://localhost:{port}/hook", "its address may not be reached"),
        ([], "https://localhost:{port}/hook", "its address may not be reached"),
        (["127.0.0.0/8"], "http://127.0.0.1:1/", "no connection"),
        (["127.0.0.0/8", "::1/128"], "https://localhost:{port}/hook", "no connection"),
    ],
)
async def test_where_a_name_leads_is_judged_when_it_is_connected_to(
    gateway: Gateway, secrets: Secrets, networks: list[str], url: str, outcome: str
) -> None:
    async with Receiver() as receiver, gateway(webhook_networks=networks) as port:
        hooks = Hooks(port, secrets.api_key)
        name = await hooks.add(receiver, url=url.format(port=receiver.port))
        assert await hooks.test(name) == (False, outcome)
        assert receiver.most_under_way == 0


async def test_https_is_known_however_it_is_written() -> None:
    class Asked(Reach):
        secure = False

        def allows(self, address: IPv4Address | IPv6Address, *, secure: bool) -> bool:
            self.secure = secure
            return True

    reach = Asked()
    sender = HttpSender(reach)
    assert await sender.post("HTTPS://127.0.0.1:1/", {}, b"") == (0, "no connection")
    assert reach.secure
    await sender.close()


async def test_a_certificate_that_nobody_vouches_for_gets_nothing(hooks: Hooks, tmp_path: Path) -> None:
    async with Receiver(self_signed(tmp_path)) as receiver:
        name = await hooks.add(receiver)
        assert await hooks.test(name) == (False, "its certificate is not valid")
        assert receiver.most_under_way == 0


def test_a_gateway_without_webhooks_loads_no_http_client() -> None:
    look = "import malha_gateway.app, sys; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0  # noqa: S603  # our own words
