"""A webhook reaches the public internet by https, and nothing of the network that the gateway stands in."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from malha.errors import ErrorReason, MalhaError
from malha_gateway.webhook_address import Reach

INSIDE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104  # to be refused
    *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fec0::1", "fc00::1", "ff02::1"),
    *("::10.0.0.1", "64:ff9b:1::a00:1"),
    # IPv4 inside of IPv6: mapped, 6to4, Teredo, NAT64
    *("::ffff:127.0.0.1", "2002:7f00:1::", "2001:0:0:0:0:0:80ff:fffe", "64:ff9b::169.254.169.254"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_reached(address: str) -> None:
    assert not Reach().allows(ip_address(address), secure=True)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_the_internet_is_reached_by_https_alone(address: str) -> None:
    assert Reach().allows(ip_address(address), secure=True)
    assert not Reach(["127.0.0.0/8"]).allows(ip_address(address), secure=False)


def test_a_network_that_the_operator_adds_is_reached_and_no_other() -> None:
    reach = Reach(["127.0.0.0/8"])
    assert reach.allows(ip_address("127.0.0.1"), secure=False)
    assert reach.allows(ip_address("::ffff:127.0.0.1"), secure=True)
    assert not reach.allows(ip_address("10.0.0.1"), secure=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "ftp://example.org/",
        "http://example.org/",
        "https:///hook",
        "https://ana:secret@example.org/",
        "https://example.org/#part",
        "https://example.org:port/",
        "https://[::1/",
        "https://127.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://exa mple.org/",
        "file:///etc/passwd",
    ],
)
def test_a_url_that_can_never_be_reached_is_refused_by_its_field(url: str) -> None:
    with pytest.raises(MalhaError) as refusal:
        Reach().check(url)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    assert refusal.value.violations[0][0] == "url"


def test_urls_that_may_be_reached_pass() -> None:
    Reach().check("https://example.org:8443/hook?for=malha")
    Reach(["127.0.0.0/8"]).check("http://localhost:8080/hook")
