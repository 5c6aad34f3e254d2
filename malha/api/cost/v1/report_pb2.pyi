from malha.api.cost.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DailyReport(_message.Message):
    __slots__ = ("day", "spent_microusd", "day_before_microusd", "limit_microusd", "runs", "agents", "models", "tools", "components", "query_costs", "savings", "uncertain", "recommendations")
    DAY_FIELD_NUMBER: _ClassVar[int]
    SPENT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    DAY_BEFORE_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    QUERY_COSTS_FIELD_NUMBER: _ClassVar[int]
    SAVINGS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATIONS_FIELD_NUMBER: _ClassVar[int]
    day: str
    spent_microusd: int
    day_before_microusd: int
    limit_microusd: int
    runs: int
    agents: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRow]
    models: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRow]
    tools: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRow]
    components: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRow]
    query_costs: _containers.RepeatedCompositeFieldContainer[QueryCost]
    savings: CacheSavings
    uncertain: Uncertain
    recommendations: _containers.RepeatedCompositeFieldContainer[Recommendation]
    def __init__(self, day: _Optional[str] = ..., spent_microusd: _Optional[int] = ..., day_before_microusd: _Optional[int] = ..., limit_microusd: _Optional[int] = ..., runs: _Optional[int] = ..., agents: _Optional[_Iterable[_Union[_usage_pb2.UsageRow, _Mapping]]] = ..., models: _Optional[_Iterable[_Union[_usage_pb2.UsageRow, _Mapping]]] = ..., tools: _Optional[_Iterable[_Union[_usage_pb2.UsageRow, _Mapping]]] = ..., components: _Optional[_Iterable[_Union[_usage_pb2.UsageRow, _Mapping]]] = ..., query_costs: _Optional[_Iterable[_Union[QueryCost, _Mapping]]] = ..., savings: _Optional[_Union[CacheSavings, _Mapping]] = ..., uncertain: _Optional[_Union[Uncertain, _Mapping]] = ..., recommendations: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ...) -> None: ...

class QueryCost(_message.Message):
    __slots__ = ("agent", "component", "runs", "average_microusd", "p50_microusd", "p95_microusd")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    P50_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    P95_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    agent: str
    component: str
    runs: int
    average_microusd: int
    p50_microusd: int
    p95_microusd: int
    def __init__(self, agent: _Optional[str] = ..., component: _Optional[str] = ..., runs: _Optional[int] = ..., average_microusd: _Optional[int] = ..., p50_microusd: _Optional[int] = ..., p95_microusd: _Optional[int] = ...) -> None: ...

class CacheSavings(_message.Message):
    __slots__ = ("kept_answers_microusd", "cached_input_microusd")
    KEPT_ANSWERS_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    kept_answers_microusd: int
    cached_input_microusd: int
    def __init__(self, kept_answers_microusd: _Optional[int] = ..., cached_input_microusd: _Optional[int] = ...) -> None: ...

class Uncertain(_message.Message):
    __slots__ = ("provisional_calls", "provisional_microusd", "overrun_calls", "overrun_microusd")
    PROVISIONAL_CALLS_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_CALLS_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    provisional_calls: int
    provisional_microusd: int
    overrun_calls: int
    overrun_microusd: int
    def __init__(self, provisional_calls: _Optional[int] = ..., provisional_microusd: _Optional[int] = ..., overrun_calls: _Optional[int] = ..., overrun_microusd: _Optional[int] = ...) -> None: ...

class Recommendation(_message.Message):
    __slots__ = ("kind", "subject", "change", "arithmetic", "saves_microusd", "frees_microusd")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Recommendation.Kind]
        KIND_CHEAPER_MODEL: _ClassVar[Recommendation.Kind]
        KIND_PROMPT_CACHE: _ClassVar[Recommendation.Kind]
        KIND_LOWER_CEILING: _ClassVar[Recommendation.Kind]
        KIND_PROVISIONAL: _ClassVar[Recommendation.Kind]
    KIND_UNSPECIFIED: Recommendation.Kind
    KIND_CHEAPER_MODEL: Recommendation.Kind
    KIND_PROMPT_CACHE: Recommendation.Kind
    KIND_LOWER_CEILING: Recommendation.Kind
    KIND_PROVISIONAL: Recommendation.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    ARITHMETIC_FIELD_NUMBER: _ClassVar[int]
    SAVES_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    FREES_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    kind: Recommendation.Kind
    subject: str
    change: str
    arithmetic: str
    saves_microusd: int
    frees_microusd: int
    def __init__(self, kind: _Optional[_Union[Recommendation.Kind, str]] = ..., subject: _Optional[str] = ..., change: _Optional[str] = ..., arithmetic: _Optional[str] = ..., saves_microusd: _Optional[int] = ..., frees_microusd: _Optional[int] = ...) -> None: ...
