from buf.validate import validate_pb2 as _validate_pb2
from malha.api.common.v1 import usage_pb2 as _usage_pb2
from malha.api.cost.v1 import budget_pb2 as _budget_pb2
from malha.api.cost.v1 import metering_pb2 as _metering_pb2
from malha.api.cost.v1 import price_pb2 as _price_pb2
from malha.api.cost.v1 import report_pb2 as _report_pb2
from malha.api.cost.v1 import usage_pb2 as _usage_pb2_1
from malha.api.event.v1 import alert_pb2 as _alert_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Component(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPONENT_UNSPECIFIED: _ClassVar[Component]
    COMPONENT_MODEL: _ClassVar[Component]
    COMPONENT_EMBEDDING: _ClassVar[Component]
    COMPONENT_SEARCH: _ClassVar[Component]
    COMPONENT_TOOL: _ClassVar[Component]
    COMPONENT_INFRASTRUCTURE: _ClassVar[Component]
COMPONENT_UNSPECIFIED: Component
COMPONENT_MODEL: Component
COMPONENT_EMBEDDING: Component
COMPONENT_SEARCH: Component
COMPONENT_TOOL: Component
COMPONENT_INFRASTRUCTURE: Component

class Reservation(_message.Message):
    __slots__ = ("key", "run_id", "agent", "run_limit_microusd", "further_calls", "model", "tool", "agent_version", "component", "session_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_LIMIT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    FURTHER_CALLS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    key: str
    run_id: str
    agent: str
    run_limit_microusd: int
    further_calls: int
    model: ModelCall
    tool: ToolUse
    agent_version: str
    component: Component
    session_id: str
    def __init__(self, key: _Optional[str] = ..., run_id: _Optional[str] = ..., agent: _Optional[str] = ..., run_limit_microusd: _Optional[int] = ..., further_calls: _Optional[int] = ..., model: _Optional[_Union[ModelCall, _Mapping]] = ..., tool: _Optional[_Union[ToolUse, _Mapping]] = ..., agent_version: _Optional[str] = ..., component: _Optional[_Union[Component, str]] = ..., session_id: _Optional[str] = ...) -> None: ...

class ModelCall(_message.Message):
    __slots__ = ("provider", "model", "input_tokens", "max_output_tokens", "min_output_tokens", "batch")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MIN_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    input_tokens: int
    max_output_tokens: int
    min_output_tokens: int
    batch: bool
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., input_tokens: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., min_output_tokens: _Optional[int] = ..., batch: bool = ...) -> None: ...

class ToolUse(_message.Message):
    __slots__ = ("tool", "price_microusd")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    PRICE_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    tool: str
    price_microusd: int
    def __init__(self, tool: _Optional[str] = ..., price_microusd: _Optional[int] = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("key", "usage", "amount_microusd", "at_ceiling", "release", "free", "saved_microusd")
    KEY_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    AT_CEILING_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    SAVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    key: str
    usage: _usage_pb2.Usage
    amount_microusd: int
    at_ceiling: bool
    release: bool
    free: Reservation
    saved_microusd: int
    def __init__(self, key: _Optional[str] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., amount_microusd: _Optional[int] = ..., at_ceiling: bool = ..., release: bool = ..., free: _Optional[_Union[Reservation, _Mapping]] = ..., saved_microusd: _Optional[int] = ...) -> None: ...

class Settled(_message.Message):
    __slots__ = ("key", "cost")
    KEY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    key: str
    cost: _usage_pb2.Cost
    def __init__(self, key: _Optional[str] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ...) -> None: ...

class AuthorizeRequest(_message.Message):
    __slots__ = ("settle", "reserve")
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    settle: _containers.RepeatedCompositeFieldContainer[Settlement]
    reserve: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, settle: _Optional[_Iterable[_Union[Settlement, _Mapping]]] = ..., reserve: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("settled", "reserved", "denied")
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    settled: _containers.RepeatedCompositeFieldContainer[Settled]
    reserved: _containers.RepeatedCompositeFieldContainer[Reserved]
    denied: Denied
    def __init__(self, settled: _Optional[_Iterable[_Union[Settled, _Mapping]]] = ..., reserved: _Optional[_Iterable[_Union[Reserved, _Mapping]]] = ..., denied: _Optional[_Union[Denied, _Mapping]] = ...) -> None: ...

class Reserved(_message.Message):
    __slots__ = ("key", "amount_microusd", "max_output_tokens", "reasons")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    key: str
    amount_microusd: int
    max_output_tokens: int
    reasons: bool
    def __init__(self, key: _Optional[str] = ..., amount_microusd: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., reasons: bool = ...) -> None: ...

class Denied(_message.Message):
    __slots__ = ("budget", "wanted_microusd", "may_free", "braked", "quota", "wanted_tokens", "fitting_output_tokens")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    WANTED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    MAY_FREE_FIELD_NUMBER: _ClassVar[int]
    BRAKED_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    WANTED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FITTING_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.BudgetStatus
    wanted_microusd: int
    may_free: bool
    braked: bool
    quota: _budget_pb2.QuotaStatus
    wanted_tokens: int
    fitting_output_tokens: int
    def __init__(self, budget: _Optional[_Union[_budget_pb2.BudgetStatus, _Mapping]] = ..., wanted_microusd: _Optional[int] = ..., may_free: bool = ..., braked: bool = ..., quota: _Optional[_Union[_budget_pb2.QuotaStatus, _Mapping]] = ..., wanted_tokens: _Optional[int] = ..., fitting_output_tokens: _Optional[int] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("settle",)
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    settle: _containers.RepeatedCompositeFieldContainer[Settlement]
    def __init__(self, settle: _Optional[_Iterable[_Union[Settlement, _Mapping]]] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("settled",)
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    settled: _containers.RepeatedCompositeFieldContainer[Settled]
    def __init__(self, settled: _Optional[_Iterable[_Union[Settled, _Mapping]]] = ...) -> None: ...

class GetBudgetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetBudgetResponse(_message.Message):
    __slots__ = ("statuses", "policy", "quota")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedCompositeFieldContainer[_budget_pb2.BudgetStatus]
    policy: _budget_pb2.BudgetPolicy
    quota: _budget_pb2.QuotaStatus
    def __init__(self, statuses: _Optional[_Iterable[_Union[_budget_pb2.BudgetStatus, _Mapping]]] = ..., policy: _Optional[_Union[_budget_pb2.BudgetPolicy, _Mapping]] = ..., quota: _Optional[_Union[_budget_pb2.QuotaStatus, _Mapping]] = ...) -> None: ...

class SetBudgetRequest(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ...) -> None: ...

class SetBudgetResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: _budget_pb2.BudgetStatus
    def __init__(self, status: _Optional[_Union[_budget_pb2.BudgetStatus, _Mapping]] = ...) -> None: ...

class SetBudgetPolicyRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: _budget_pb2.BudgetPolicy
    def __init__(self, policy: _Optional[_Union[_budget_pb2.BudgetPolicy, _Mapping]] = ...) -> None: ...

class SetBudgetPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: _budget_pb2.BudgetPolicy
    def __init__(self, policy: _Optional[_Union[_budget_pb2.BudgetPolicy, _Mapping]] = ...) -> None: ...

class AdjustRequest(_message.Message):
    __slots__ = ("id", "key", "amount_microusd", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    key: str
    amount_microusd: int
    reason: str
    def __init__(self, id: _Optional[str] = ..., key: _Optional[str] = ..., amount_microusd: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class AdjustResponse(_message.Message):
    __slots__ = ("amount_microusd",)
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    amount_microusd: int
    def __init__(self, amount_microusd: _Optional[int] = ...) -> None: ...

class ListHeldRequest(_message.Message):
    __slots__ = ("older_than_seconds", "skip")
    OLDER_THAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    older_than_seconds: int
    skip: int
    def __init__(self, older_than_seconds: _Optional[int] = ..., skip: _Optional[int] = ...) -> None: ...

class HeldRun(_message.Message):
    __slots__ = ("tenant", "run_id", "keys", "reserved_microusd")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    reserved_microusd: int
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., reserved_microusd: _Optional[int] = ...) -> None: ...

class ListHeldResponse(_message.Message):
    __slots__ = ("runs", "next")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[HeldRun]
    next: int
    def __init__(self, runs: _Optional[_Iterable[_Union[HeldRun, _Mapping]]] = ..., next: _Optional[int] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("since", "until", "group_by")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    since: str
    until: str
    group_by: _usage_pb2_1.UsageGroup
    def __init__(self, since: _Optional[str] = ..., until: _Optional[str] = ..., group_by: _Optional[_Union[_usage_pb2_1.UsageGroup, str]] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("days", "rows")
    DAYS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    days: _containers.RepeatedCompositeFieldContainer[_usage_pb2_1.DayUsage]
    rows: _containers.RepeatedCompositeFieldContainer[_usage_pb2_1.UsageRow]
    def __init__(self, days: _Optional[_Iterable[_Union[_usage_pb2_1.DayUsage, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[_usage_pb2_1.UsageRow, _Mapping]]] = ...) -> None: ...

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

class ListAlertsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[_alert_pb2.Alert]
    def __init__(self, alerts: _Optional[_Iterable[_Union[_alert_pb2.Alert, _Mapping]]] = ...) -> None: ...

class ListUntoldAlertsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListUntoldAlertsResponse(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[_alert_pb2.Alert]
    def __init__(self, alerts: _Optional[_Iterable[_Union[_alert_pb2.Alert, _Mapping]]] = ...) -> None: ...

class MarkAlertsToldRequest(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[AlertName]
    def __init__(self, alerts: _Optional[_Iterable[_Union[AlertName, _Mapping]]] = ...) -> None: ...

class AlertName(_message.Message):
    __slots__ = ("tenant", "id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class MarkAlertsToldResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QuoteRequest(_message.Message):
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

class QuoteResponse(_message.Message):
    __slots__ = ("quotes",)
    QUOTES_FIELD_NUMBER: _ClassVar[int]
    quotes: _containers.RepeatedCompositeFieldContainer[_price_pb2.Quote]
    def __init__(self, quotes: _Optional[_Iterable[_Union[_price_pb2.Quote, _Mapping]]] = ...) -> None: ...
