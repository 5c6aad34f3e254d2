"""The tables of deploy/envoy/rest.lua: which call has which body, and which fields its messages have."""

import json
import re

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from malha.stack.descriptors import methods
from malha.stack.template import DEPLOY, fill

TEMPLATE = DEPLOY / "envoy" / "rest.lua"
VERBS = ("get", "put", "post", "delete", "patch")


def script(files: list[FileDescriptor]) -> str:
    """The script, with the tables of this contract."""
    messages: dict[str, str] = {}
    calls = []
    for method in methods(files):
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = next((verb for verb in VERBS if getattr(rule, verb)), "")
        if not verb:
            continue
        body = "false"
        if rule.body == "*":  # the fields that the path names may not stand in the body too; else it is raw
            _describe(method.input_type, messages)
            body = _quoted(method.input_type.full_name)
        unwrapped = _quoted(rule.response_body) if rule.response_body else "false"
        streams = str(method.server_streaming).lower()
        path = _quoted(_pattern(rule, verb))
        calls.append(f"{{{_quoted(verb.upper())}, {path}, {body}, {unwrapped}, {streams}}}")
    tables = ",\n  ".join(f"[{_quoted(name)}] = {fields}" for name, fields in messages.items())
    return fill(TEMPLATE, messages=f"{{\n  {tables}\n}}", calls="{\n  " + ",\n  ".join(calls) + "\n}")


def _describe(message: Descriptor, known: dict[str, str]) -> None:
    if message.full_name in known:
        return
    known[message.full_name] = ""  # it may contain itself
    fields = []
    for field in message.fields:
        entry = f"{{{_value(field, known)}, {str(_is_list(field)).lower()}}}"
        fields += [f"[{_quoted(name)}] = {entry}" for name in _names(field)]
    known[message.full_name] = "{" + ", ".join(fields) + "}"


def _names(field: FieldDescriptor) -> list[str]:
    """What a field may be called in JSON; of a map's entry only the value is one, under any name."""
    message = field.containing_type
    if message is not None and message.GetOptions().map_entry:
        return ["*"] if field.name == "value" else []
    return sorted({field.name, field.json_name})


def _value(field: FieldDescriptor, known: dict[str, str]) -> str:
    """A message's name; `true` where the JSON form is not the message's own; `false` for a scalar."""
    message = field.message_type
    if message is None:
        return "false"
    if message.full_name.startswith("google.protobuf."):
        return "true"
    _describe(message, known)
    return _quoted(message.full_name)


def _is_list(field: FieldDescriptor) -> bool:
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    return bool(field.is_repeated) and not is_map


def _pattern(rule: HttpRule, verb: str) -> str:
    """A path template as a Lua pattern: `/v1/runs/{run_id}:cancel` becomes `^/v1/runs/[^/]+:cancel/?$`.

    The slash is one that the transcoder takes at the end of a path and callers sometimes leave there.
    """
    parts = re.split(r"\{[^}]+\}", getattr(rule, verb))
    return "^" + "[^/]+".join(re.sub(r"([-.+])", r"%\1", part) for part in parts) + "/?$"


def _quoted(text: str) -> str:
    return json.dumps(text)
