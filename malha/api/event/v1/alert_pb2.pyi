import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Alert(_message.Message):
    __slots__ = ("id", "tenant", "type", "time", "scope", "scope_id", "window", "rolling", "limit_microusd", "spent_microusd", "reserved_microusd", "limit_tokens", "used_tokens", "agent", "run_id", "usual_microusd", "calls", "usual_calls", "score", "hour")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ROLLING_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    SPENT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    USED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    USUAL_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    USUAL_CALLS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    HOUR_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    type: str
    time: _timestamp_pb2.Timestamp
    scope: str
    scope_id: str
    window: str
    rolling: bool
    limit_microusd: int
    spent_microusd: int
    reserved_microusd: int
    limit_tokens: int
    used_tokens: int
    agent: str
    run_id: str
    usual_microusd: int
    calls: int
    usual_calls: int
    score: float
    hour: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., type: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scope: _Optional[str] = ..., scope_id: _Optional[str] = ..., window: _Optional[str] = ..., rolling: bool = ..., limit_microusd: _Optional[int] = ..., spent_microusd: _Optional[int] = ..., reserved_microusd: _Optional[int] = ..., limit_tokens: _Optional[int] = ..., used_tokens: _Optional[int] = ..., agent: _Optional[str] = ..., run_id: _Optional[str] = ..., usual_microusd: _Optional[int] = ..., calls: _Optional[int] = ..., usual_calls: _Optional[int] = ..., score: _Optional[float] = ..., hour: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
