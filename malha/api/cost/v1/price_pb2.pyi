from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rates(_message.Message):
    __slots__ = ("above", "input", "cached_input", "output")
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    above: int
    input: int
    cached_input: int
    output: int
    def __init__(self, above: _Optional[int] = ..., input: _Optional[int] = ..., cached_input: _Optional[int] = ..., output: _Optional[int] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("provider", "model", "row", "effective_from", "rates", "reasons", "source", "url", "retrieved")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FROM_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    RETRIEVED_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    row: str
    effective_from: str
    rates: _containers.RepeatedCompositeFieldContainer[Rates]
    reasons: bool
    source: str
    url: str
    retrieved: str
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., row: _Optional[str] = ..., effective_from: _Optional[str] = ..., rates: _Optional[_Iterable[_Union[Rates, _Mapping]]] = ..., reasons: bool = ..., source: _Optional[str] = ..., url: _Optional[str] = ..., retrieved: _Optional[str] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("price", "amount_microusd", "ceiling_microusd")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    CEILING_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    price: Price
    amount_microusd: int
    ceiling_microusd: int
    def __init__(self, price: _Optional[_Union[Price, _Mapping]] = ..., amount_microusd: _Optional[int] = ..., ceiling_microusd: _Optional[int] = ...) -> None: ...
