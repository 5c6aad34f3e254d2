"""Envoy's configuration: the template in deploy/envoy, the contract, and our shape for its refusals.

Callers see one shape of error, google.rpc.Status with an ErrorInfo of the domain "malha", whether the
gateway refused or Envoy did before it. REST callers get it as the body of Envoy's local reply,
gRPC callers in the details header that the gateway uses.
"""

import base64
import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from malha.stack import descriptors, rest
from malha.stack.program import Handover, Program, exchange
from malha.stack.servers import find_envoy
from malha.stack.template import DEPLOY, fill

TEMPLATE = DEPLOY / "envoy" / "envoy.yaml"
MAX_BODY_BYTES = 17 * 1024 * 1024  # the contract's 16 MiB of documents, and the JSON around them
LOOPBACK_PAGES = (
    r"http://(localhost|127\.0\.0\.1)(:[0-9]+)?"  # pages that may call a mesh on their own machine
)
ASK_HEALTH = b"GET /healthz HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n"
QUIET = ("--log-level", "warning")
# A new process takes the listener over from the old one, which answers what it has begun and ends.
HANDING_OVER = ("--drain-time-s", "5", "--parent-shutdown-time-s", "12")
_TCP = {"user_timeout": 18, "keep_idle": 4, "keep_interval": 5, "keep_count": 6}  # as Linux numbers them
ASK_AFTER = [
    {"level": socket.SOL_SOCKET, "name": socket.SO_KEEPALIVE, "int_value": 1},
    # 30 s of silence, then three questions; what nobody took in for a minute was sent to nobody
    {"level": socket.IPPROTO_TCP, "name": _TCP["keep_idle"], "int_value": 30},
    {"level": socket.IPPROTO_TCP, "name": _TCP["keep_interval"], "int_value": 10},
    {"level": socket.IPPROTO_TCP, "name": _TCP["keep_count"], "int_value": 3},
    {"level": socket.IPPROTO_TCP, "name": _TCP["user_timeout"], "int_value": 60_000},
]
SAID_BY_ENVOY = "%LOCAL_REPLY_BODY%"  # the transcoder names the field there


@dataclass(frozen=True)
class Refusal:
    """What Envoy says of its own accord under an HTTP status."""

    status: int
    code: int
    reason: str
    message: str
    retry_after: int = 0

    @property
    def grpc_code(self) -> int:
        """The code for gRPC callers: to them a path that is not there is a method that is not."""
        return code_pb2.UNIMPLEMENTED if self.status == 404 else self.code

    def details(self) -> Status:
        """As google.rpc.Status for gRPC callers; seconds to wait, if any, as RetryInfo."""
        details = [_packed(ErrorInfo(reason=self.reason, domain="malha"))]
        if self.retry_after:
            retry = RetryInfo()
            retry.retry_delay.seconds = self.retry_after
            details.append(_packed(retry))
        return Status(code=self.grpc_code, message=self.message, details=details)


REFUSALS = (
    Refusal(400, code_pb2.INVALID_ARGUMENT, "FIELD_INVALID", SAID_BY_ENVOY),
    Refusal(404, code_pb2.NOT_FOUND, "ROUTE_NOT_FOUND", "there is no such path or method"),
    Refusal(408, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the request did not arrive in time"),
    Refusal(413, code_pb2.INVALID_ARGUMENT, "REQUEST_TOO_LARGE", "the body is larger than 16 MiB"),
    Refusal(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many calls at the edge", 1),
    Refusal(431, code_pb2.INVALID_ARGUMENT, "REQUEST_TOO_LARGE", "the headers are larger than 32 KiB"),
    Refusal(500, code_pb2.INTERNAL, "INTERNAL", "the edge could not handle the call"),
    Refusal(502, code_pb2.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE", "the gateway is away", 1),
    Refusal(503, code_pb2.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE", "the gateway is away", 1),
    Refusal(504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the time allowed is used up"),
)


def envoy(state: Path, *, port: int, gateways: Sequence[int], access_log: bool = False) -> Program:
    """Envoy on loopback `port` before the gateways on the loopback ports given; files go to `state`/edge."""
    folder = state / "edge"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    contract = descriptors.contract()
    (folder / "contract.binpb").write_bytes(descriptors.for_transcoder(contract).SerializeToString())
    (folder / "rest.lua").write_text(rest.script(contract))
    config = folder / "envoy.yaml"
    config.write_text(
        fill(
            TEMPLATE,
            address="127.0.0.1",
            port=port,
            descriptors=folder / "contract.binpb",
            rest=folder / "rest.lua",
            services=json.dumps(
                sorted({m.containing_service.full_name for m in descriptors.methods(contract)})
            ),
            max_body_bytes=MAX_BODY_BYTES,
            cors_origins=LOOPBACK_PAGES,
            gateways=json.dumps([_endpoint(gateway) for gateway in gateways]),
            local_reply_config=json.dumps(local_replies()),
            socket_options=json.dumps(ASK_AFTER if sys.platform == "linux" else []),
            access_log=f"access_log: {json.dumps([STDOUT_LOG])}" if access_log else "",
        )
    )
    return Program(
        name="edge",
        # One worker: the edge takes a tenth of a millisecond a call, and every further worker costs memory.
        argv=(
            *(find_envoy(), "-c", str(config), "--concurrency", "1", *QUIET),
            *("--base-id", str(port), *HANDING_OVER),  # as the port, the id is this mesh's alone
        ),
        ready=lambda: exchange(port, ASK_HEALTH, timeout=2.0).startswith(b"HTTP/1.1 200 "),
        alive=lambda: exchange(port, ASK_HEALTH, timeout=2.0).startswith(b"HTTP/1.1 "),
        url=f"http://127.0.0.1:{port}",
        handing_over=Handover.BY_ITSELF,
        place="--restart-epoch",
    )


def local_replies() -> dict[str, object]:
    """Envoy's local_reply_config: per status one rule for gRPC callers and one for all others."""
    mappers: list[object] = []
    for refusal in REFUSALS:
        status = {
            "comparison": {"op": "EQ", "value": {"default_value": refusal.status, "runtime_key": "none"}}
        }
        headers = [_header("retry-after", str(refusal.retry_after))] if refusal.retry_after else []
        packed = base64.b64encode(refusal.details().SerializeToString()).decode().rstrip("=")
        details = [] if refusal.message == SAID_BY_ENVOY else [_header("grpc-status-details-bin", packed)]
        mappers.append(
            {
                "filter": {"and_filter": {"filters": [{"status_code_filter": status}, *FROM_GRPC]}},
                "body_format_override": {"text_format_source": {"inline_string": refusal.message}},
                "headers_to_add": [_header("grpc-status", str(refusal.grpc_code)), *details, *headers],
            }
        )
        mappers.append(
            {
                "filter": {"status_code_filter": status},
                "body_format_override": {"json_format": _as_json(refusal)},
                "headers_to_add": headers,
            }
        )
    return {"mappers": mappers}


GRPC = {"safe_regex": {"regex": r"application/grpc(\+.*)?"}}
# The transcoder turns REST into gRPC under way, and leaves the old path in a header.
FROM_GRPC = (
    {"header_filter": {"header": {"name": "content-type", "string_match": GRPC}}},
    {
        "header_filter": {
            "header": {"name": "x-envoy-original-path", "present_match": True, "invert_match": True}
        }
    },
)
STDOUT_LOG = {
    "name": "envoy.access_loggers.stdout",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    },
}


def _as_json(refusal: Refusal) -> dict[str, object]:
    details: list[dict[str, object]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": refusal.reason,
            "domain": "malha",
            "metadata": {},
        }
    ]
    if refusal.retry_after:
        delay = f"{refusal.retry_after}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": delay})
    return {"code": refusal.code, "message": refusal.message, "details": details}


def _header(name: str, value: str) -> dict[str, object]:
    return {"append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": {"key": name, "value": value}}


def _endpoint(port: int) -> dict[str, object]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


def _packed(message: ErrorInfo | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
