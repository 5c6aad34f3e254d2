from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class UsageGroup(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_GROUP_UNSPECIFIED: _ClassVar[UsageGroup]
    USAGE_GROUP_DAY: _ClassVar[UsageGroup]
    USAGE_GROUP_AGENT: _ClassVar[UsageGroup]
    USAGE_GROUP_MODEL: _ClassVar[UsageGroup]
    USAGE_GROUP_TOOL: _ClassVar[UsageGroup]
    USAGE_GROUP_COMPONENT: _ClassVar[UsageGroup]
    USAGE_GROUP_TENANT: _ClassVar[UsageGroup]
    USAGE_GROUP_KEY: _ClassVar[UsageGroup]
USAGE_GROUP_UNSPECIFIED: UsageGroup
USAGE_GROUP_DAY: UsageGroup
USAGE_GROUP_AGENT: UsageGroup
USAGE_GROUP_MODEL: UsageGroup
USAGE_GROUP_TOOL: UsageGroup
USAGE_GROUP_COMPONENT: UsageGroup
USAGE_GROUP_TENANT: UsageGroup
USAGE_GROUP_KEY: UsageGroup

class DayUsage(_message.Message):
    __slots__ = ("day", "spent_microusd", "reserved_microusd", "used_tokens")
    DAY_FIELD_NUMBER: _ClassVar[int]
    SPENT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    USED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    day: str
    spent_microusd: int
    reserved_microusd: int
    used_tokens: int
    def __init__(self, day: _Optional[str] = ..., spent_microusd: _Optional[int] = ..., reserved_microusd: _Optional[int] = ..., used_tokens: _Optional[int] = ...) -> None: ...

class UsageRow(_message.Message):
    __slots__ = ("name", "version", "calls", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "amount_microusd", "saved_microusd", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    SAVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    amount_microusd: int
    saved_microusd: int
    share: float
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., calls: _Optional[int] = ..., input_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., amount_microusd: _Optional[int] = ..., saved_microusd: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...
