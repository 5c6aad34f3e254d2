from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from malha.api.cost.v1 import metering_pb2 as _metering_pb2
from malha.api.cost.v1 import price_pb2 as _price_pb2
from malha.api.cost.v1 import report_pb2 as _report_pb2
from malha.api.cost.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetUsageRequest(_message.Message):
    __slots__ = ("since", "until", "group_by")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    since: str
    until: str
    group_by: _usage_pb2.UsageGroup
    def __init__(self, since: _Optional[str] = ..., until: _Optional[str] = ..., group_by: _Optional[_Union[_usage_pb2.UsageGroup, str]] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("days", "rows")
    DAYS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    days: _containers.RepeatedCompositeFieldContainer[_usage_pb2.DayUsage]
    rows: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRow]
    def __init__(self, days: _Optional[_Iterable[_Union[_usage_pb2.DayUsage, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[_usage_pb2.UsageRow, _Mapping]]] = ...) -> None: ...

class GetDailyReportRequest(_message.Message):
    __slots__ = ("day",)
    DAY_FIELD_NUMBER: _ClassVar[int]
    day: str
    def __init__(self, day: _Optional[str] = ...) -> None: ...

class GetDailyReportResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: _report_pb2.DailyReport
    def __init__(self, report: _Optional[_Union[_report_pb2.DailyReport, _Mapping]] = ...) -> None: ...

class ExportUsageRequest(_message.Message):
    __slots__ = ("after", "page_size", "since", "until")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    after: int
    page_size: int
    since: str
    until: str
    def __init__(self, after: _Optional[int] = ..., page_size: _Optional[int] = ..., since: _Optional[str] = ..., until: _Optional[str] = ...) -> None: ...

class ExportUsageResponse(_message.Message):
    __slots__ = ("records", "next", "more")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_metering_pb2.MeteredUsage]
    next: int
    more: bool
    def __init__(self, records: _Optional[_Iterable[_Union[_metering_pb2.MeteredUsage, _Mapping]]] = ..., next: _Optional[int] = ..., more: bool = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("model", "input_tokens", "cached_input_tokens", "output_tokens", "batch")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    model: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    batch: bool
    def __init__(self, model: _Optional[str] = ..., input_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., batch: bool = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("quotes",)
    QUOTES_FIELD_NUMBER: _ClassVar[int]
    quotes: _containers.RepeatedCompositeFieldContainer[_price_pb2.Quote]
    def __init__(self, quotes: _Optional[_Iterable[_Union[_price_pb2.Quote, _Mapping]]] = ...) -> None: ...
