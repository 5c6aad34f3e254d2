import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_UNSPECIFIED: _ClassVar[Scope]
    SCOPE_RUN: _ClassVar[Scope]
    SCOPE_KEY: _ClassVar[Scope]
    SCOPE_TENANT: _ClassVar[Scope]

class Window(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WINDOW_UNSPECIFIED: _ClassVar[Window]
    WINDOW_DAY: _ClassVar[Window]
    WINDOW_MONTH: _ClassVar[Window]
    WINDOW_TOTAL: _ClassVar[Window]
SCOPE_UNSPECIFIED: Scope
SCOPE_RUN: Scope
SCOPE_KEY: Scope
SCOPE_TENANT: Scope
WINDOW_UNSPECIFIED: Window
WINDOW_DAY: Window
WINDOW_MONTH: Window
WINDOW_TOTAL: Window

class Budget(_message.Message):
    __slots__ = ("scope", "scope_id", "window", "limit_microusd")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    scope_id: str
    window: Window
    limit_microusd: int
    def __init__(self, scope: _Optional[_Union[Scope, str]] = ..., scope_id: _Optional[str] = ..., window: _Optional[_Union[Window, str]] = ..., limit_microusd: _Optional[int] = ...) -> None: ...

class BudgetStatus(_message.Message):
    __slots__ = ("budget", "spent_microusd", "reserved_microusd", "resets_at")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SPENT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    spent_microusd: int
    reserved_microusd: int
    resets_at: _timestamp_pb2.Timestamp
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., spent_microusd: _Optional[int] = ..., reserved_microusd: _Optional[int] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
