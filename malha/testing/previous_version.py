"""What the version before this one writes and reads, kept in a file so that no history is needed to test it.

    python -m malha.testing.previous_version FOLDER COMMIT > tests/contract/previous_version.json

makes that file of a checkout of the version, whose own code runs in a process of its own: its whole
contract as descriptors, and a journal as its writers leave it, with what its fold makes of that.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_WRITES = """
import base64, importlib, json, pkgutil, zlib
import malha.api
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.record_pb2 import FinalStatus, StepKind, StepOutcome
from malha.run import fold, step_key
from malha.testing.journals import stored
from malha.testing.records import RecordsOf, ended, finished, started

files = {}
def add(file):
    if file.name not in files:
        for imported in file.dependencies:
            add(imported)
        files[file.name] = file
for module in pkgutil.walk_packages(malha.api.__path__, "malha.api."):
    if module.name.endswith("_pb2"):
        add(importlib.import_module(module.name).DESCRIPTOR)
contract = FileDescriptorSet()
for file in files.values():
    file.CopyToProto(contract.file.add())

run = RecordsOf("acme", "a" * 52)
model, tool = (step_key("acme", run.run_id, step, 10, 1) for step in (1, 2))
used = Usage(input_tokens=100, output_tokens=20)
records = [
    run.accepted(),
    run.claimed(item=4),
    run.record(started(model, StepKind.STEP_KIND_MODEL), epoch=10),
    run.record(
        ended(model, StepOutcome.STEP_OUTCOME_OK, usage=used, microusd=1600),
        started(tool, StepKind.STEP_KIND_TOOL),
        epoch=10,
    ),
    run.record(ended(tool, StepOutcome.STEP_OUTCOME_FAILED, usage=Usage(), microusd=5), epoch=10),
    run.cancel(),
    run.record(finished(FinalStatus.FINAL_STATUS_CANCELLED), epoch=10),
]
state = fold(stored(records))
print(json.dumps({
    "contract": base64.b64encode(zlib.compress(contract.SerializeToString(), 9)).decode(),
    "journal": [record.SerializeToString().hex() for record in records],
    "folded": {
        "status": int(state.status),
        "steps": [step.started.key for step in state.steps],
        "input_tokens": state.usage.input_tokens,
        "microusd": state.cost.amount_microusd,
    },
}))
"""


def written_by(checkout: Path) -> dict[str, Any]:
    """What the version in a folder writes."""
    path = os.pathsep.join(str(folder) for folder in (checkout, *sorted(checkout.glob("services/*"))))
    done = subprocess.run(  # noqa: S603  # our own interpreter, on a checkout that the caller chose
        [sys.executable, "-P", "-c", _WRITES],  # without the folder we are in, which holds this version
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    written: dict[str, Any] = json.loads(done.stdout)
    return written


def contract_of(written: dict[str, Any]) -> FileDescriptorSet:
    """Its contract."""
    return FileDescriptorSet.FromString(zlib.decompress(base64.b64decode(written["contract"])))


def message_class(contract: FileDescriptorSet, name: str) -> type[Message]:
    """A message as that version knows it."""
    pool = DescriptorPool()
    for file in contract.file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(name))


if __name__ == "__main__":
    print(json.dumps({"commit": sys.argv[2], **written_by(Path(sys.argv[1]).resolve())}, indent=1))  # noqa: T201  # its output
