"""The contract as Envoy's transcoder reads it: a set of file descriptors, imports included.

Made from the generated stubs, so no compiler is needed where the mesh runs.
"""

import importlib
import pkgutil
from collections.abc import Iterator

from google.api import annotations_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

import malha.api.gateway.v1

# Errors carry these, and Envoy writes them as JSON.
ERROR_DETAILS = ("google.rpc.error_details_pb2", "google.rpc.status_pb2")


def contract() -> list[FileDescriptor]:
    """Every file of the gateway's contract and of error details, each after what it imports."""
    package = malha.api.gateway.v1
    stubs = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for imported in file.dependencies:
                add(imported)
            files[file.name] = file

    for stub in (*(name for name in stubs if name.endswith("_pb2")), *ERROR_DETAILS):
        add(importlib.import_module(stub).DESCRIPTOR)
    return list(files.values())


def for_transcoder(files: list[FileDescriptor]) -> FileDescriptorSet:
    """The files without the option `response_body`: Envoy 1.40 refuses it, deploy/envoy/rest.lua does it."""
    result = FileDescriptorSet()
    for file in files:
        copy = result.file.add()
        file.CopyToProto(copy)
        for service in copy.service:
            for method in service.method:
                if method.options.HasExtension(annotations_pb2.http):
                    method.options.Extensions[annotations_pb2.http].ClearField("response_body")
    return result


def methods(files: list[FileDescriptor]) -> Iterator[MethodDescriptor]:
    """The RPCs that the edge serves."""
    for file in files:
        for service in file.services_by_name.values():
            yield from service.methods
