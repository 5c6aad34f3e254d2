from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

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
