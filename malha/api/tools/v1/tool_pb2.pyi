import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from malha.api.common.v1 import principal_pb2 as _principal_pb2
from malha.api.run.v1 import record_pb2 as _record_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tool(_message.Message):
    __slots__ = ("name", "version", "description", "input_schema_json", "output_schema_json", "effect", "min_tier", "timeout", "cache_ttl", "price_microusd", "harmless", "risk")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    MIN_TIER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_FIELD_NUMBER: _ClassVar[int]
    PRICE_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    HARMLESS_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    description: str
    input_schema_json: str
    output_schema_json: str
    effect: _record_pb2.Effect
    min_tier: _principal_pb2.Tier
    timeout: _duration_pb2.Duration
    cache_ttl: _duration_pb2.Duration
    price_microusd: int
    harmless: bool
    risk: _record_pb2.Risk
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., description: _Optional[str] = ..., input_schema_json: _Optional[str] = ..., output_schema_json: _Optional[str] = ..., effect: _Optional[_Union[_record_pb2.Effect, str]] = ..., min_tier: _Optional[_Union[_principal_pb2.Tier, str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cache_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., price_microusd: _Optional[int] = ..., harmless: bool = ..., risk: _Optional[_Union[_record_pb2.Risk, str]] = ...) -> None: ...
