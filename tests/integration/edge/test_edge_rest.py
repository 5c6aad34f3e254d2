"""What REST callers of the edge get: transcoding by the contract, and refusals that name the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDictProxy
from yarl import URL

from malha.api.gateway.v1 import run_service_pb2
from malha.errors import ErrorReason, MalhaError

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Edge

pytestmark = pytest.mark.asyncio(loop_scope="module")
RUN = "a" * 52


async def test_a_run_answers_in_the_names_of_the_contract(edge: Edge) -> None:
    async with edge.rest.post("/v1/runs", json={"input": "hi", "session_id": "s"}) as response:
        body = await response.json()
    assert response.status == 200
    assert body["run_id"] == RUN
    assert body["input"] == "hi"
    assert body["steps"] == []
    assert edge.gateway.request == run_service_pb2.CreateRunRequest(input="hi", session_id="s")


async def test_a_call_without_a_deadline_gets_one(edge: Edge) -> None:
    async with edge.rest.get("/healthz") as response:
        assert await response.json() == {"status": "ready", "version": ""}
    assert edge.gateway.remaining is not None
    assert 290 < edge.gateway.remaining <= 300


async def test_who_asks_for_the_head_alone_gets_what_it_would_stand_over(edge: Edge) -> None:
    for path in ("/healthz", "/v1/runs?page_size=2", "/v1/runs?bogus=2"):
        async with edge.rest.get(path) as whole, edge.rest.head(path) as head:
            assert (head.status, await head.read()) == (whole.status, b"")
            for name in ("content-type", "content-length"):
                assert head.headers[name] == whole.headers[name]
    async with edge.rest.head(f"/v1/runs/{RUN}/events") as head:
        assert head.status == 404, "a stream has none"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": "hi", "bogus": 1}, "bogus: unknown field"),
        ({"input": 'quo"te \\', "limits": {"max_iterations": 1, "x": [{}]}}, "limits.x: unknown field"),
        ({"input": 3}, "input: invalid value 3 for type TYPE_STRING"),
        ({"limits": {"max_iterations": "x"}}, 'limits.max_iterations: invalid value "x" for type TYPE_INT32'),
        ({"input": ["hi"]}, "input: must not be a list"),
        ({"input": {"text": "hi"}}, "input: must not be an object"),
        ({"limits": 7}, "limits: must be an object"),
        ([1], "body: must not be a list"),
    ],
)  # fmt: skip
async def test_a_body_against_the_contract_is_refused_by_the_name_of_its_field(
    edge: Edge, body: object, message: str
) -> None:
    async with edge.rest.post("/v1/runs", json=body) as response:
        refusal = await response.json()
    assert response.status == 400
    assert refusal == error(3, message, "FIELD_INVALID")


@pytest.mark.parametrize(
    "body", ['{bogus: 1, "input": "hi"}', "{'bogus': 1, 'input': 'hi'}", '{"input": "hi", "limits": {x: 1}}']
)
async def test_a_field_whose_name_stands_in_no_double_quotes_is_refused(edge: Edge, body: str) -> None:
    async with edge.rest.post("/v1/runs", data=body) as response:
        refusal = await response.json()
    assert response.status == 400
    assert refusal["message"].endswith("names and texts stand in double quotes")
    assert edge.gateway.request is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/runs/", "application/json"), ("/v1/runs", "application/grpc-web"), ("/v1/runs", "text/plain")],
)
async def test_every_way_to_put_a_body_keeps_the_contract(edge: Edge, path: str, kind: str) -> None:
    headers = {"content-type": kind}
    async with edge.rest.post(path, json={"input": "hi", "bogus": 1}, headers=headers) as response:
        assert await response.json() == error(3, "bogus: unknown field", "FIELD_INVALID")
    async with edge.rest.post(path, json={"input": "hi"}, headers=headers) as response:
        assert (await response.json())["run_id"] == RUN


async def test_fields_inside_lists_and_maps_are_checked_and_names_in_maps_are_free(edge: Edge) -> None:
    document = {"name": "a.md", "text": "t", "metadata": {"anything": "goes"}}
    async with edge.rest.post("/v1/documents", json={"documents": [document, document]}) as response:
        assert response.status == 200
    async with edge.rest.post("/v1/documents", json={"documents": [document, {"titel": "t"}]}) as response:
        assert (await response.json())["message"] == "documents.titel: unknown field"
    async with edge.rest.post("/v1/documents", json={"documents": document}) as response:
        assert (await response.json())["message"] == "documents: must be a list"
    deep = document | {"metadata": {"a": {"b": "c"}}}
    async with edge.rest.post("/v1/documents", json={"documents": [deep]}) as response:
        assert (await response.json())["message"] == "documents.metadata.a: must not be an object"
    no_map = document | {"metadata": ["a"]}
    async with edge.rest.post("/v1/documents", json={"documents": [no_map]}) as response:
        assert (await response.json())["message"] == "documents.metadata: must not be a list"


@pytest.mark.parametrize(
    "body", [b'{"input":', b"{", b"[[[[" * 1000, b'{"input" "x"}', b"nonsense", b'{"a":"\\']
)
async def test_malformed_json_is_refused_in_our_shape(edge: Edge, body: bytes) -> None:
    async with edge.rest.post("/v1/runs", data=body) as response:
        refusal = await response.json()
    assert response.status == 400
    assert refusal["code"] == 3
    assert refusal["details"][0]["reason"] == "FIELD_INVALID"


async def test_an_unknown_or_mistyped_parameter_is_refused_by_name(edge: Edge) -> None:
    async with edge.rest.get("/v1/runs?bogus=1") as response:
        assert response.status == 400
        assert "bogus" in (await response.json())["message"]
    async with edge.rest.get("/v1/runs?page_size=x") as response:
        assert response.status == 400
        assert (await response.json())["message"].startswith("page_size: invalid value")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("GET", "/nothing"), ("DELETE", "/v1/runs")]
)
async def test_an_unknown_route_is_404_in_our_shape(edge: Edge, method: str, path: str) -> None:
    async with edge.rest.request(method, path) as response:
        assert response.status == 404
        assert await response.json() == error(5, "there is no such path or method", "ROUTE_NOT_FOUND")
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("escaped", "name"), [("a%2Fevents", "a/events"), ("a%5cb", "a\\b")])
async def test_an_escaped_slash_is_a_part_of_the_name_for_the_gateway_to_judge(
    edge: Edge, escaped: str, name: str
) -> None:
    async with edge.rest.post(URL(f"/v1/runs/{escaped}:cancel", encoded=True)) as response:
        assert response.status == 200
    assert edge.gateway.request.run_id == name


async def test_a_body_of_millions_of_values_is_refused_before_it_holds_others_up(edge: Edge) -> None:
    body = b'{"documents": [' + b"{}," * 1_000_000 + b"{}]}"
    async with edge.rest.post("/v1/documents", data=body) as response:
        assert response.status == 400
        assert (await response.json())["message"] == "documents: the body holds more than 20000 values"
    assert edge.gateway.request is None


async def test_sixteen_mebibytes_pass_and_more_is_413(edge: Edge) -> None:
    text = "x" * 16 * 1024 * 1024
    async with edge.rest.post("/v1/documents", json={"documents": [{"name": "a", "text": text}]}) as response:
        assert response.status == 200
    assert edge.gateway.request.documents[0].text == text
    async with edge.rest.post(
        "/v1/documents", json={"documents": [{"text": text + text[:2000000]}]}
    ) as response:
        assert response.status == 413
        assert await response.json() == error(3, "the body is larger than 16 MiB", "REQUEST_TOO_LARGE")


async def test_the_gateways_errors_arrive_whole_with_their_retry_delay(edge: Edge) -> None:
    edge.gateway.error = MalhaError(ErrorReason.ERROR_REASON_RATE_LIMITED, "slow down", retry_after=7.5)
    for request in (
        edge.rest.post("/v1/runs", json={"input": "hi"}),
        edge.rest.get(f"/v1/runs/{RUN}/events"),
    ):
        async with request as response:
            body = await response.json()
        assert response.status == 429
        assert response.headers["retry-after"] == "8"
        assert [detail["@type"].rpartition(".")[2] for detail in body["details"]] == [
            "ErrorInfo",
            "RetryInfo",
        ]


async def test_server_sent_events_arrive_as_they_are_produced(edge: Edge) -> None:
    async with edge.rest.get(f"/v1/runs/{RUN}/events", headers={"Last-Event-ID": "1.2"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        # the gateway sends the second only when told to: the first was not held back for it
        assert await response.content.readuntil(b"\n\n") == b": hello\n\n"
        edge.gateway.go_on.set()
        assert await response.content.read() == b"id: 1.0\nevent: accepted\ndata: {}\n\n"
    assert edge.gateway.metadata["last-event-id"] == "1.2"
    assert edge.gateway.remaining is None


async def test_pages_of_this_machine_may_call_and_others_may_not(edge: Edge) -> None:
    async def asked(origin: str) -> CIMultiDictProxy[str]:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        async with edge.rest.options("/v1/runs", headers=headers) as response:
            return response.headers

    ours = await asked("http://localhost:3000")
    assert ours["access-control-allow-origin"] == "http://localhost:3000"
    assert ours["access-control-allow-methods"] == "GET, POST, DELETE, OPTIONS"
    assert "access-control-allow-origin" not in await asked("http://localhost.evil.example")


async def test_a_gateway_that_is_away_is_503_in_our_shape_and_comes_back(edge: Edge) -> None:
    await edge.server.stop(1)
    async with edge.rest.post("/v1/runs", json={"input": "hi"}) as response:
        assert response.status == 503
        assert response.headers["retry-after"] == "1"
        away = error(14, "the gateway is away", "DEPENDENCY_UNAVAILABLE")
        away["details"].append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "1s"})
        assert await response.json() == away
    async with edge.rest.get(f"/v1/runs/{RUN}/events") as response:
        assert response.status == 503
        assert (await response.json())["details"] == away["details"]
    await edge.start()
    async with edge.rest.get("/healthz") as response:
        assert response.status == 200


async def test_secure_headers_stand_on_every_answer(edge: Edge) -> None:
    async with edge.rest.get("/healthz") as response:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["server"] == "malha"


def error(code: int, message: str, reason: str) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "malha",
        "metadata": {},
    }
    return {"code": code, "message": message, "details": [info]}
