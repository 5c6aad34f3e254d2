"""Which mesh the client calls, by what its environment names."""

import pytest

from malha.client.target import is_local, target_in
from malha.errors import MalhaError


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        ({}, "127.0.0.1:7400"),
        ({"MALHA_URL": "http://127.0.0.1:7500"}, "127.0.0.1:7500"),  # one port serves REST and gRPC
        ({"MALHA_URL": "http://malha.example/"}, "malha.example:80"),
        ({"MALHA_URL": "http://[::1]:7500"}, "[::1]:7500"),
        ({"MALHA_URL": "malha.example:7500"}, "malha.example:7500"),  # never another mesh than the one named
        ({"MALHA_URL": "http://malha.example:port"}, "malha.example:port:80"),  # which nobody finds
        ({"MALHA_GRPC_TARGET": "malha.example:443"}, "malha.example:443"),
        (
            {"MALHA_GRPC_TARGET": "malha.example:443", "MALHA_URL": "http://127.0.0.1:7500"},
            "malha.example:443",
        ),
        ({"MALHA_GRPC_TARGET": "", "MALHA_URL": ""}, "127.0.0.1:7400"),
    ],
)
def test_the_mesh_that_the_environment_names_is_called(environment: dict[str, str], target: str) -> None:
    assert target_in(environment) == target


@pytest.mark.parametrize("url", ["https://malha.example", "HTTPS://malha.example:7400/"])
def test_a_key_that_is_to_go_by_https_does_not_go_without(url: str) -> None:
    with pytest.raises(MalhaError, match="TLS"):
        target_in({"MALHA_URL": url})


@pytest.mark.parametrize("target", ["127.0.0.1:7400", "localhost:80", "[::1]:7400"])
def test_a_mesh_on_this_machine_is_known_as_one(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize("target", ["malha.example:443", "127.0.0.1.malha.example:80", "10.0.0.1:7400"])
def test_a_mesh_elsewhere_is_not_taken_for_one_of_this_machine(target: str) -> None:
    assert not is_local(target)
