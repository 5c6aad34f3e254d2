import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from malha.api.common.v1 import principal_pb2 as _principal_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tenant(_message.Message):
    __slots__ = ("tenant", "tier", "lapse_time", "stripe_customer")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    LAPSE_TIME_FIELD_NUMBER: _ClassVar[int]
    STRIPE_CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    tier: _principal_pb2.Tier
    lapse_time: _timestamp_pb2.Timestamp
    stripe_customer: str
    def __init__(self, tenant: _Optional[str] = ..., tier: _Optional[_Union[_principal_pb2.Tier, str]] = ..., lapse_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stripe_customer: _Optional[str] = ...) -> None: ...

class GetTenantRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class GetTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class LinkStripeCustomerRequest(_message.Message):
    __slots__ = ("tenant", "customer")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    customer: str
    def __init__(self, tenant: _Optional[str] = ..., customer: _Optional[str] = ...) -> None: ...

class LinkStripeCustomerResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...
