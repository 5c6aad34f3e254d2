from malha.api.common.v1 import principal_pb2 as _principal_pb2
from malha.api.run.v1 import record_pb2 as _record_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Agent(_message.Message):
    __slots__ = ("name", "version", "description", "strategy", "tools", "model", "limits", "is_default", "min_tier", "work_class")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    MIN_TIER_FIELD_NUMBER: _ClassVar[int]
    WORK_CLASS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    description: str
    strategy: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    model: str
    limits: _record_pb2.RunLimits
    is_default: bool
    min_tier: _principal_pb2.Tier
    work_class: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., description: _Optional[str] = ..., strategy: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., limits: _Optional[_Union[_record_pb2.RunLimits, _Mapping]] = ..., is_default: bool = ..., min_tier: _Optional[_Union[_principal_pb2.Tier, str]] = ..., work_class: _Optional[str] = ...) -> None: ...
