from malha.api.common.v1 import usage_pb2 as _usage_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunFact(_message.Message):
    __slots__ = ("tenant", "run_id", "position", "agent", "step", "kind", "name", "status", "error_reason", "usage", "cost", "risk", "hash", "by")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    position: str
    agent: str
    step: int
    kind: str
    name: str
    status: str
    error_reason: str
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    risk: str
    hash: str
    by: str
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., position: _Optional[str] = ..., agent: _Optional[str] = ..., step: _Optional[int] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[str] = ..., error_reason: _Optional[str] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., risk: _Optional[str] = ..., hash: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...
