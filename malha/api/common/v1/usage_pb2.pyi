from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Usage(_message.Message):
    __slots__ = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    def __init__(self, input_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("amount_microusd", "reference_microusd", "reference_model", "overrun_microusd")
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_MODEL_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    amount_microusd: int
    reference_microusd: int
    reference_model: str
    overrun_microusd: int
    def __init__(self, amount_microusd: _Optional[int] = ..., reference_microusd: _Optional[int] = ..., reference_model: _Optional[str] = ..., overrun_microusd: _Optional[int] = ...) -> None: ...
