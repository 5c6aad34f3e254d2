import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from malha.api.run.v1 import chat_pb2 as _chat_pb2
from malha.api.run.v1 import record_pb2 as _record_pb2
from malha.api.tools.v1 import tool_pb2 as _tool_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOLUTION_UNSPECIFIED: _ClassVar[Resolution]
    RESOLUTION_RESULT: _ClassVar[Resolution]
    RESOLUTION_TOMBSTONED: _ClassVar[Resolution]
    RESOLUTION_UNKNOWN: _ClassVar[Resolution]
RESOLUTION_UNSPECIFIED: Resolution
RESOLUTION_RESULT: Resolution
RESOLUTION_TOMBSTONED: Resolution
RESOLUTION_UNKNOWN: Resolution

class ListToolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListToolsResponse(_message.Message):
    __slots__ = ("tools",)
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[_tool_pb2.Tool]
    def __init__(self, tools: _Optional[_Iterable[_Union[_tool_pb2.Tool, _Mapping]]] = ...) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("key", "tool", "arguments_json", "allowed_tools", "clearance")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    tool: str
    arguments_json: str
    allowed_tools: _containers.RepeatedScalarFieldContainer[str]
    clearance: _record_pb2.Clearance
    def __init__(self, key: _Optional[str] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[str] = ..., allowed_tools: _Optional[_Iterable[str]] = ..., clearance: _Optional[_Union[_record_pb2.Clearance, _Mapping]] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ToolResult
    def __init__(self, result: _Optional[_Union[ToolResult, _Mapping]] = ...) -> None: ...

class ToolResult(_message.Message):
    __slots__ = ("outcome", "result_json", "text", "citations", "error_reason", "error_text", "elapsed", "from_cache", "truncated", "price_microusd", "partial")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_TEXT_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    FROM_CACHE_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PRICE_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    outcome: _record_pb2.StepOutcome
    result_json: str
    text: str
    citations: _containers.RepeatedCompositeFieldContainer[_chat_pb2.Citation]
    error_reason: str
    error_text: str
    elapsed: _duration_pb2.Duration
    from_cache: bool
    truncated: bool
    price_microusd: int
    partial: bool
    def __init__(self, outcome: _Optional[_Union[_record_pb2.StepOutcome, str]] = ..., result_json: _Optional[str] = ..., text: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[_chat_pb2.Citation, _Mapping]]] = ..., error_reason: _Optional[str] = ..., error_text: _Optional[str] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., from_cache: bool = ..., truncated: bool = ..., price_microusd: _Optional[int] = ..., partial: bool = ...) -> None: ...

class ResolveRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("resolution", "result")
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    resolution: Resolution
    result: ToolResult
    def __init__(self, resolution: _Optional[_Union[Resolution, str]] = ..., result: _Optional[_Union[ToolResult, _Mapping]] = ...) -> None: ...

class EraseRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class EraseRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
