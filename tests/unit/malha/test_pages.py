"""Pages say what is true: what they point at exists, and what they list is all there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.rpc import code_pb2

from malha.api.common.v1.error_reason_pb2 import ErrorReason
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.event.v1.event_pb2 import RunFact
from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest, RunLimitsRequest
from malha.api.run.v1.record_pb2 import JournalEvent
from malha.errors import MalhaError, reason_named
from malha.stack import descriptors, ports
from malha.testing import settings_page

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(ROOT.glob("*.md")) + sorted(DOCS.glob("**/*.md"))
PAGES += [*sorted(ROOT.glob("services/*/README.md")), ROOT / "third_party" / "README.md"]
ROOMS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
KINDS = (".py", ".md", ".yaml", ".proto", ".sql", ".lua", ".conf", ".json", ".toml", ".svg")
MADE_AT_RUN_TIME = {"ready.json", "build/faults.json", "my-prices.yaml"}
HTTP = {3: "400", 4: "504", 5: "404", 6: "409", 7: "403", 8: "429", 9: "400", 13: "500", 14: "503", 16: "401"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_on_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {path for path in re.findall(r"`([^`\s]+)`", prose) if is_path(path)}
    linked = {path for path in re.findall(r"\]\(([^)#\s]+)", prose) if "://" not in path}
    assert not [path for path in sorted(named) if not exists(path, page)]
    assert not [path for path in sorted(linked) if not (page.parent / path).exists()]


def is_path(text: str) -> bool:
    """Whether a piece of code is meant as a path of this repository."""
    if not re.fullmatch(r"[\w.-]+(/[\w.<>*-]+)*/?", text) or text in MADE_AT_RUN_TIME:
        return False
    return text.endswith(KINDS) or ("/" in text and text.split("/")[0] in ROOMS)


def exists(path: str, page: Path) -> bool:
    """From the root, from the page, inside the services that the page is about; by its beginning, too."""
    pattern = re.sub(r"<\w+>", "*", path).rstrip("/")
    services = [page.parent] if "services" in page.parts else sorted(ROOT.glob("services/*"))
    places = [ROOT, page.parent, *(inside for service in services for inside in service.glob("malha_*"))]
    return any(any(place.glob(pattern + end)) for place in places for end in ("", "*"))


def test_every_record_stands_in_the_index() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    for record in sorted((DOCS / "adr").glob("0*.md")):
        head = re.match(r"# (\d+)\. (.+)", record.read_text(encoding="utf-8"))
        status = re.search(r"^Status: (.+)$", record.read_text(encoding="utf-8"), re.MULTILINE)
        assert head, record.name
        assert status, record.name
        assert f"| [{head[1]}]({record.name}) | {head[2]} | {status[1]} |" in index


def test_the_page_of_settings_is_that_of_the_code() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page.page(), "python -m malha.testing.settings_page > docs/settings.md"


def test_a_setting_named_anywhere_exists() -> None:
    known = (DOCS / "settings.md").read_text(encoding="utf-8")
    services = "GATEWAY|PLANNER|TOOLS|RETRIEVAL|GUARD|COST"
    for page in PAGES:
        for setting in re.findall(rf"MALHA_(?:{services})_[A-Z_]+[A-Z]", page.read_text(encoding="utf-8")):
            own = f"`{setting}`" in known
            shared = re.sub(rf"MALHA_(?:{services})_", "MALHA_<SERVICE>_", setting)
            assert own or f"`{shared}`" in known, f"{page.name}: {setting}"


def test_the_reference_lists_every_call_as_the_contract_routes_it() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    calls = dict.fromkeys(re.findall(r"^\| (.+?) \| `(\w+\.\w+)` \|", page, re.MULTILINE))
    wanted = set()
    for method in descriptors.methods(descriptors.contract()):
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = next((verb for verb in ("get", "post", "put", "delete", "patch") if getattr(rule, verb)), "")
        route = f"`{verb.upper()} {getattr(rule, verb)}`" if verb else "(gRPC only)"
        wanted.add((route, f"{method.containing_service.name}.{method.name}"))
    assert set(calls) == wanted


def test_the_reference_lists_every_field_of_a_question_and_every_kind_of_event() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    fields = [name for name in CreateRunRequest.DESCRIPTOR.fields_by_name if name != "limits"]
    fields += [f"limits.{name}" for name in RunLimitsRequest.DESCRIPTOR.fields_by_name]
    kinds = [field.name for field in RunEvent.DESCRIPTOR.oneofs_by_name["event"].fields]
    assert not [name for name in fields if f"| `{name}` |" not in page]
    assert not [kind for kind in kinds if f"`{kind}`" not in page]


def test_every_announced_type_and_field_is_explained() -> None:
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    # content alone; told as step_finished; no news; told as alert.<type>
    untold = {"answered", "step_abandoned", "handed_over", "alerted"}
    kinds = {field.name for field in JournalEvent.DESCRIPTOR.oneofs_by_name["event"].fields}
    types = set(re.findall(r"^\| `run\.(\w+)` \|", page, re.MULTILINE))
    twofold = {"notified", "approval_requested"}  # what "proposed" is told as
    assert types == kinds - untold - {"proposed"} | twofold
    for begin, end, message in (
        ("## Fields of the data", "## Fields of an alert", RunFact),
        ("## Fields of an alert", "## Order and delivery", Alert),
    ):
        table = page[page.index(begin) : page.index(end)]
        rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(message.DESCRIPTOR.fields_by_name)


def test_every_reason_is_explained_with_its_codes() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    for value in ErrorReason.values()[1:]:
        name = ErrorReason.Name(value).removeprefix("ERROR_REASON_")
        assert re.search(rf"\b{name}\b", page), name
        row = re.search(rf"^\| {name} \| ([A-Z_]+) \| ([\d, ]+) \|", page, re.MULTILINE)
        if row and name != "REQUEST_TOO_LARGE":  # the edge's own, with HTTP statuses of its own
            code = MalhaError(reason_named(name), "").code
            assert (code_pb2.Code.Name(code), HTTP[code]) == row.groups()


def test_ports_on_the_pages_are_those_that_are_taken() -> None:
    fixed = {name: ports.FIRST + place for place, name in enumerate(ports.LISTENERS)}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"MALHA_URL=http://127.0.0.1:{fixed['edge']}\n" in readme
    assert f"@127.0.0.1:{fixed['nats']}\n" in readme
    operations = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert (
        f"Envoy listens on {fixed['edge']} for REST and gRPC, the services on {fixed['gateway']} to "
        f"{fixed['cost']}, NATS on {fixed['nats']}, Valkey on {fixed['valkey']}, and the services' metrics "
        f"on {fixed['gateway-metrics']} to {fixed['cost-metrics']}."
    ) in operations
