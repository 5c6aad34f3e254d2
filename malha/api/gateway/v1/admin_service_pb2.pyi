import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from malha.api.common.v1 import principal_pb2 as _principal_pb2
from malha.api.cost.v1 import budget_pb2 as _budget_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateApiKeyRequest(_message.Message):
    __slots__ = ("tenant", "subject", "tier", "scopes", "expire_time")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    subject: str
    tier: _principal_pb2.Tier
    scopes: _containers.RepeatedScalarFieldContainer[str]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., subject: _Optional[str] = ..., tier: _Optional[_Union[_principal_pb2.Tier, str]] = ..., scopes: _Optional[_Iterable[str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateApiKeyResponse(_message.Message):
    __slots__ = ("key_id", "api_key", "expire_time")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    api_key: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, key_id: _Optional[str] = ..., api_key: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RevokeApiKeyRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class RevokeApiKeyResponse(_message.Message):
    __slots__ = ("runs_cancelled",)
    RUNS_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    runs_cancelled: int
    def __init__(self, runs_cancelled: _Optional[int] = ...) -> None: ...

class EraseRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class EraseRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EraseTenantRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class EraseTenantResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: int
    def __init__(self, runs: _Optional[int] = ...) -> None: ...

class SetBudgetRequest(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ...) -> None: ...

class SetBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ...) -> None: ...

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

class AdjustSpendingRequest(_message.Message):
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

class AdjustSpendingResponse(_message.Message):
    __slots__ = ("amount_microusd",)
    AMOUNT_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    amount_microusd: int
    def __init__(self, amount_microusd: _Optional[int] = ...) -> None: ...
