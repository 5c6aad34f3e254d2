from malha.api.run.v1 import record_pb2 as _record_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Delta(_message.Message):
    __slots__ = ("tenant", "run_id", "key", "step", "epoch", "offset", "reset", "content")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    key: str
    step: int
    epoch: int
    offset: int
    reset: bool
    content: _record_pb2.Sealed
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., key: _Optional[str] = ..., step: _Optional[int] = ..., epoch: _Optional[int] = ..., offset: _Optional[int] = ..., reset: bool = ..., content: _Optional[_Union[_record_pb2.Sealed, _Mapping]] = ...) -> None: ...
