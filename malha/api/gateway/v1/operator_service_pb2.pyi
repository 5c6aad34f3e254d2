import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from malha.api.gateway.v1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeadRun(_message.Message):
    __slots__ = ("tenant", "run", "claims")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run: _run_pb2.Run
    claims: _containers.RepeatedCompositeFieldContainer[DeadRunClaim]
    def __init__(self, tenant: _Optional[str] = ..., run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ..., claims: _Optional[_Iterable[_Union[DeadRunClaim, _Mapping]]] = ...) -> None: ...

class DeadRunClaim(_message.Message):
    __slots__ = ("worker", "item", "delivery", "claim_time")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    CLAIM_TIME_FIELD_NUMBER: _ClassVar[int]
    worker: str
    item: int
    delivery: int
    claim_time: _timestamp_pb2.Timestamp
    def __init__(self, worker: _Optional[str] = ..., item: _Optional[int] = ..., delivery: _Optional[int] = ..., claim_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeadRunsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadRunsResponse(_message.Message):
    __slots__ = ("dead_runs", "next_page_token")
    DEAD_RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_runs: _containers.RepeatedCompositeFieldContainer[DeadRun]
    next_page_token: str
    def __init__(self, dead_runs: _Optional[_Iterable[_Union[DeadRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDeadRunRequest(_message.Message):
    __slots__ = ("tenant", "run_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class GetDeadRunResponse(_message.Message):
    __slots__ = ("dead_run",)
    DEAD_RUN_FIELD_NUMBER: _ClassVar[int]
    dead_run: DeadRun
    def __init__(self, dead_run: _Optional[_Union[DeadRun, _Mapping]] = ...) -> None: ...

class ReplayDeadRunRequest(_message.Message):
    __slots__ = ("tenant", "run_id", "reason")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    reason: str
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReplayDeadRunResponse(_message.Message):
    __slots__ = ("dead_run",)
    DEAD_RUN_FIELD_NUMBER: _ClassVar[int]
    dead_run: DeadRun
    def __init__(self, dead_run: _Optional[_Union[DeadRun, _Mapping]] = ...) -> None: ...

class DropDeadRunRequest(_message.Message):
    __slots__ = ("tenant", "run_id", "reason")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    reason: str
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DropDeadRunResponse(_message.Message):
    __slots__ = ("dead_run",)
    DEAD_RUN_FIELD_NUMBER: _ClassVar[int]
    dead_run: DeadRun
    def __init__(self, dead_run: _Optional[_Union[DeadRun, _Mapping]] = ...) -> None: ...
