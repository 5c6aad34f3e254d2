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
    SCOPE_REQUEST: _ClassVar[Scope]
    SCOPE_SESSION: _ClassVar[Scope]
    SCOPE_USER: _ClassVar[Scope]
    SCOPE_ORGANISATION: _ClassVar[Scope]

class Window(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WINDOW_UNSPECIFIED: _ClassVar[Window]
    WINDOW_DAY: _ClassVar[Window]
    WINDOW_MONTH: _ClassVar[Window]
    WINDOW_TOTAL: _ClassVar[Window]
    WINDOW_MINUTE: _ClassVar[Window]

class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_UNSPECIFIED: _ClassVar[Level]
    LEVEL_OPEN: _ClassVar[Level]
    LEVEL_WARNED: _ClassVar[Level]
    LEVEL_BRAKED: _ClassVar[Level]
    LEVEL_USED_UP: _ClassVar[Level]
SCOPE_UNSPECIFIED: Scope
SCOPE_RUN: Scope
SCOPE_KEY: Scope
SCOPE_TENANT: Scope
SCOPE_REQUEST: Scope
SCOPE_SESSION: Scope
SCOPE_USER: Scope
SCOPE_ORGANISATION: Scope
WINDOW_UNSPECIFIED: Window
WINDOW_DAY: Window
WINDOW_MONTH: Window
WINDOW_TOTAL: Window
WINDOW_MINUTE: Window
LEVEL_UNSPECIFIED: Level
LEVEL_OPEN: Level
LEVEL_WARNED: Level
LEVEL_BRAKED: Level
LEVEL_USED_UP: Level

class Budget(_message.Message):
    __slots__ = ("scope", "scope_id", "window", "limit_microusd", "rolling", "currency")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    ROLLING_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    scope_id: str
    window: Window
    limit_microusd: int
    rolling: bool
    currency: str
    def __init__(self, scope: _Optional[_Union[Scope, str]] = ..., scope_id: _Optional[str] = ..., window: _Optional[_Union[Window, str]] = ..., limit_microusd: _Optional[int] = ..., rolling: bool = ..., currency: _Optional[str] = ...) -> None: ...

class BudgetStatus(_message.Message):
    __slots__ = ("budget", "spent_microusd", "reserved_microusd", "resets_at", "level")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SPENT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    spent_microusd: int
    reserved_microusd: int
    resets_at: _timestamp_pb2.Timestamp
    level: Level
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., spent_microusd: _Optional[int] = ..., reserved_microusd: _Optional[int] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., level: _Optional[_Union[Level, str]] = ...) -> None: ...

class QuotaStatus(_message.Message):
    __slots__ = ("limit_tokens", "used_tokens", "reserved_tokens", "resets_at")
    LIMIT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    USED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    limit_tokens: int
    used_tokens: int
    reserved_tokens: int
    resets_at: _timestamp_pb2.Timestamp
    def __init__(self, limit_tokens: _Optional[int] = ..., used_tokens: _Optional[int] = ..., reserved_tokens: _Optional[int] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BudgetPolicy(_message.Message):
    __slots__ = ("time_zone", "organisation", "warn_percent", "brake_percent", "stop_started_runs", "monthly_tokens")
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    WARN_PERCENT_FIELD_NUMBER: _ClassVar[int]
    BRAKE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    STOP_STARTED_RUNS_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    time_zone: str
    organisation: str
    warn_percent: int
    brake_percent: int
    stop_started_runs: bool
    monthly_tokens: int
    def __init__(self, time_zone: _Optional[str] = ..., organisation: _Optional[str] = ..., warn_percent: _Optional[int] = ..., brake_percent: _Optional[int] = ..., stop_started_runs: bool = ..., monthly_tokens: _Optional[int] = ...) -> None: ...
