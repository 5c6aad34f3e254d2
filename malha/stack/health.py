"""Asks a service how it is, in the words of gRPC's health protocol."""

import socket
from enum import Enum

import grpc
from grpc_health.v1 import health_pb2

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else it may inherit what the last question met, and not look
)


class Health(Enum):
    """What a service says of itself."""

    READY = "it takes calls"
    BUSY = "it answers that it does not: it starts or drains, or something it needs is away"
    SILENT = "it does not answer"


def health(port: int, *, timeout: float = 2.0) -> Health:
    """How the service on a loopback port is; blocks for `timeout` seconds at most."""
    try:
        socket.create_connection(
            ("127.0.0.1", port), timeout
        ).close()  # a channel is dear where nobody listens
    except OSError:
        return Health.SILENT
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError:
            return Health.SILENT
    return Health.READY if answer.status == health_pb2.HealthCheckResponse.SERVING else Health.BUSY
