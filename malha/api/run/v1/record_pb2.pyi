import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from malha.api.common.v1 import principal_pb2 as _principal_pb2
from malha.api.common.v1 import usage_pb2 as _usage_pb2
from malha.api.event.v1 import alert_pb2 as _alert_pb2
from malha.api.run.v1 import chat_pb2 as _chat_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_LOW: _ClassVar[Priority]
    PRIORITY_NORMAL: _ClassVar[Priority]
    PRIORITY_HIGH: _ClassVar[Priority]

class StepKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_KIND_UNSPECIFIED: _ClassVar[StepKind]
    STEP_KIND_MODEL: _ClassVar[StepKind]
    STEP_KIND_TOOL: _ClassVar[StepKind]

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_READ: _ClassVar[Effect]
    EFFECT_IDEMPOTENT: _ClassVar[Effect]
    EFFECT_ONCE: _ClassVar[Effect]

class Risk(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_UNSPECIFIED: _ClassVar[Risk]
    RISK_LOW: _ClassVar[Risk]
    RISK_MEDIUM: _ClassVar[Risk]
    RISK_HIGH: _ClassVar[Risk]
    RISK_CRITICAL: _ClassVar[Risk]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_APPROVE: _ClassVar[Decision]
    DECISION_REJECT: _ClassVar[Decision]
    DECISION_END_RUN: _ClassVar[Decision]
    DECISION_HAPPENED: _ClassVar[Decision]
    DECISION_DID_NOT_HAPPEN: _ClassVar[Decision]

class StepOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_OUTCOME_UNSPECIFIED: _ClassVar[StepOutcome]
    STEP_OUTCOME_OK: _ClassVar[StepOutcome]
    STEP_OUTCOME_FAILED: _ClassVar[StepOutcome]
    STEP_OUTCOME_BLOCKED: _ClassVar[StepOutcome]

class Abandonment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ABANDONMENT_UNSPECIFIED: _ClassVar[Abandonment]
    ABANDONMENT_SETTLED_AT_CEILING: _ClassVar[Abandonment]
    ABANDONMENT_TOMBSTONED: _ClassVar[Abandonment]
    ABANDONMENT_UNKNOWN: _ClassVar[Abandonment]
    ABANDONMENT_INTERRUPTED: _ClassVar[Abandonment]
    ABANDONMENT_NO_ANSWER: _ClassVar[Abandonment]

class ParkReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PARK_REASON_UNSPECIFIED: _ClassVar[ParkReason]
    PARK_REASON_OUTCOME_UNKNOWN: _ClassVar[ParkReason]
    PARK_REASON_APPROVAL: _ClassVar[ParkReason]

class FinalStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINAL_STATUS_UNSPECIFIED: _ClassVar[FinalStatus]
    FINAL_STATUS_SUCCEEDED: _ClassVar[FinalStatus]
    FINAL_STATUS_FAILED: _ClassVar[FinalStatus]
    FINAL_STATUS_CANCELLED: _ClassVar[FinalStatus]
    FINAL_STATUS_DEAD: _ClassVar[FinalStatus]

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_ALLOW: _ClassVar[Action]
    ACTION_FLAG: _ClassVar[Action]
    ACTION_MASK: _ClassVar[Action]
    ACTION_BLOCK: _ClassVar[Action]
PRIORITY_UNSPECIFIED: Priority
PRIORITY_LOW: Priority
PRIORITY_NORMAL: Priority
PRIORITY_HIGH: Priority
STEP_KIND_UNSPECIFIED: StepKind
STEP_KIND_MODEL: StepKind
STEP_KIND_TOOL: StepKind
EFFECT_UNSPECIFIED: Effect
EFFECT_READ: Effect
EFFECT_IDEMPOTENT: Effect
EFFECT_ONCE: Effect
RISK_UNSPECIFIED: Risk
RISK_LOW: Risk
RISK_MEDIUM: Risk
RISK_HIGH: Risk
RISK_CRITICAL: Risk
DECISION_UNSPECIFIED: Decision
DECISION_APPROVE: Decision
DECISION_REJECT: Decision
DECISION_END_RUN: Decision
DECISION_HAPPENED: Decision
DECISION_DID_NOT_HAPPEN: Decision
STEP_OUTCOME_UNSPECIFIED: StepOutcome
STEP_OUTCOME_OK: StepOutcome
STEP_OUTCOME_FAILED: StepOutcome
STEP_OUTCOME_BLOCKED: StepOutcome
ABANDONMENT_UNSPECIFIED: Abandonment
ABANDONMENT_SETTLED_AT_CEILING: Abandonment
ABANDONMENT_TOMBSTONED: Abandonment
ABANDONMENT_UNKNOWN: Abandonment
ABANDONMENT_INTERRUPTED: Abandonment
ABANDONMENT_NO_ANSWER: Abandonment
PARK_REASON_UNSPECIFIED: ParkReason
PARK_REASON_OUTCOME_UNKNOWN: ParkReason
PARK_REASON_APPROVAL: ParkReason
FINAL_STATUS_UNSPECIFIED: FinalStatus
FINAL_STATUS_SUCCEEDED: FinalStatus
FINAL_STATUS_FAILED: FinalStatus
FINAL_STATUS_CANCELLED: FinalStatus
FINAL_STATUS_DEAD: FinalStatus
ACTION_UNSPECIFIED: Action
ACTION_ALLOW: Action
ACTION_FLAG: Action
ACTION_MASK: Action
ACTION_BLOCK: Action

class Record(_message.Message):
    __slots__ = ("tenant", "run_id", "epoch", "events", "written_at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    run_id: str
    epoch: int
    events: _containers.RepeatedCompositeFieldContainer[JournalEvent]
    written_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., events: _Optional[_Iterable[_Union[JournalEvent, _Mapping]]] = ..., written_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class JournalEvent(_message.Message):
    __slots__ = ("accepted", "claimed", "step_started", "step_finished", "step_abandoned", "answered", "parked", "cancel_requested", "finished", "step_settled", "decided", "proposed", "replayed", "dropped", "erased", "handed_over", "alerted", "content")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    STEP_STARTED_FIELD_NUMBER: _ClassVar[int]
    STEP_FINISHED_FIELD_NUMBER: _ClassVar[int]
    STEP_ABANDONED_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    STEP_SETTLED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    HANDED_OVER_FIELD_NUMBER: _ClassVar[int]
    ALERTED_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    claimed: Claimed
    step_started: StepStarted
    step_finished: StepFinished
    step_abandoned: StepAbandoned
    answered: Answered
    parked: Parked
    cancel_requested: CancelRequested
    finished: Finished
    step_settled: StepSettled
    decided: Decided
    proposed: Proposed
    replayed: Replayed
    dropped: Dropped
    erased: Erased
    handed_over: HandedOver
    alerted: _alert_pb2.Alert
    content: Sealed
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., claimed: _Optional[_Union[Claimed, _Mapping]] = ..., step_started: _Optional[_Union[StepStarted, _Mapping]] = ..., step_finished: _Optional[_Union[StepFinished, _Mapping]] = ..., step_abandoned: _Optional[_Union[StepAbandoned, _Mapping]] = ..., answered: _Optional[_Union[Answered, _Mapping]] = ..., parked: _Optional[_Union[Parked, _Mapping]] = ..., cancel_requested: _Optional[_Union[CancelRequested, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., step_settled: _Optional[_Union[StepSettled, _Mapping]] = ..., decided: _Optional[_Union[Decided, _Mapping]] = ..., proposed: _Optional[_Union[Proposed, _Mapping]] = ..., replayed: _Optional[_Union[Replayed, _Mapping]] = ..., dropped: _Optional[_Union[Dropped, _Mapping]] = ..., erased: _Optional[_Union[Erased, _Mapping]] = ..., handed_over: _Optional[_Union[HandedOver, _Mapping]] = ..., alerted: _Optional[_Union[_alert_pb2.Alert, _Mapping]] = ..., content: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("key_id", "nonce", "ciphertext")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    nonce: bytes
    ciphertext: bytes
    def __init__(self, key_id: _Optional[str] = ..., nonce: _Optional[bytes] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class Content(_message.Message):
    __slots__ = ("text", "message", "arguments_json", "result_json", "citations", "error_text", "comment")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_TEXT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    text: str
    message: _chat_pb2.ChatMessage
    arguments_json: str
    result_json: str
    citations: _containers.RepeatedCompositeFieldContainer[_chat_pb2.Citation]
    error_text: str
    comment: str
    def __init__(self, text: _Optional[str] = ..., message: _Optional[_Union[_chat_pb2.ChatMessage, _Mapping]] = ..., arguments_json: _Optional[str] = ..., result_json: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[_chat_pb2.Citation, _Mapping]]] = ..., error_text: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class RunLimits(_message.Message):
    __slots__ = ("max_iterations", "max_cost_microusd", "max_wall_time", "max_output_tokens", "max_model_time")
    MAX_ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    MAX_WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_MODEL_TIME_FIELD_NUMBER: _ClassVar[int]
    max_iterations: int
    max_cost_microusd: int
    max_wall_time: _duration_pb2.Duration
    max_output_tokens: int
    max_model_time: _duration_pb2.Duration
    def __init__(self, max_iterations: _Optional[int] = ..., max_cost_microusd: _Optional[int] = ..., max_wall_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_output_tokens: _Optional[int] = ..., max_model_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("principal", "agent", "request_hash", "work_class", "limits", "session_id", "traceparent", "input_verdict", "priority", "stream")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    WORK_CLASS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    INPUT_VERDICT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    principal: _principal_pb2.Principal
    agent: str
    request_hash: bytes
    work_class: str
    limits: RunLimits
    session_id: str
    traceparent: str
    input_verdict: Verdict
    priority: Priority
    stream: bool
    def __init__(self, principal: _Optional[_Union[_principal_pb2.Principal, _Mapping]] = ..., agent: _Optional[str] = ..., request_hash: _Optional[bytes] = ..., work_class: _Optional[str] = ..., limits: _Optional[_Union[RunLimits, _Mapping]] = ..., session_id: _Optional[str] = ..., traceparent: _Optional[str] = ..., input_verdict: _Optional[_Union[Verdict, _Mapping]] = ..., priority: _Optional[_Union[Priority, str]] = ..., stream: bool = ...) -> None: ...

class Claimed(_message.Message):
    __slots__ = ("worker", "item", "delivery")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    worker: str
    item: int
    delivery: int
    def __init__(self, worker: _Optional[str] = ..., item: _Optional[int] = ..., delivery: _Optional[int] = ...) -> None: ...

class HandedOver(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Proposed(_message.Message):
    __slots__ = ("step", "tool", "tool_version", "risk", "hash", "policy", "approvals", "preauthorisation", "expire_time", "rejection_ends_run", "initiator_may_approve")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    TOOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    PREAUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REJECTION_ENDS_RUN_FIELD_NUMBER: _ClassVar[int]
    INITIATOR_MAY_APPROVE_FIELD_NUMBER: _ClassVar[int]
    step: int
    tool: str
    tool_version: str
    risk: Risk
    hash: bytes
    policy: str
    approvals: int
    preauthorisation: str
    expire_time: _timestamp_pb2.Timestamp
    rejection_ends_run: bool
    initiator_may_approve: bool
    def __init__(self, step: _Optional[int] = ..., tool: _Optional[str] = ..., tool_version: _Optional[str] = ..., risk: _Optional[_Union[Risk, str]] = ..., hash: _Optional[bytes] = ..., policy: _Optional[str] = ..., approvals: _Optional[int] = ..., preauthorisation: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rejection_ends_run: bool = ..., initiator_may_approve: bool = ...) -> None: ...

class Clearance(_message.Message):
    __slots__ = ("risk", "hash", "policy", "approved_by", "preauthorisation")
    RISK_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    PREAUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    risk: Risk
    hash: bytes
    policy: str
    approved_by: _containers.RepeatedScalarFieldContainer[str]
    preauthorisation: str
    def __init__(self, risk: _Optional[_Union[Risk, str]] = ..., hash: _Optional[bytes] = ..., policy: _Optional[str] = ..., approved_by: _Optional[_Iterable[str]] = ..., preauthorisation: _Optional[str] = ...) -> None: ...

class Decided(_message.Message):
    __slots__ = ("decision", "hash", "step", "key", "by", "verdict")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    hash: bytes
    step: int
    key: str
    by: str
    verdict: Verdict
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., hash: _Optional[bytes] = ..., step: _Optional[int] = ..., key: _Optional[str] = ..., by: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ...) -> None: ...

class StepStarted(_message.Message):
    __slots__ = ("key", "step", "kind", "name", "provider", "effect", "call_id", "reserved_microusd", "offered_tools", "clearance")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    OFFERED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    step: int
    kind: StepKind
    name: str
    provider: str
    effect: Effect
    call_id: str
    reserved_microusd: int
    offered_tools: _containers.RepeatedScalarFieldContainer[str]
    clearance: Clearance
    def __init__(self, key: _Optional[str] = ..., step: _Optional[int] = ..., kind: _Optional[_Union[StepKind, str]] = ..., name: _Optional[str] = ..., provider: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., call_id: _Optional[str] = ..., reserved_microusd: _Optional[int] = ..., offered_tools: _Optional[_Iterable[str]] = ..., clearance: _Optional[_Union[Clearance, _Mapping]] = ...) -> None: ...

class StepFinished(_message.Message):
    __slots__ = ("key", "step", "outcome", "usage", "cost", "elapsed", "error_reason", "verdict", "from_cache", "truncated")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    FROM_CACHE_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    key: str
    step: int
    outcome: StepOutcome
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    elapsed: _duration_pb2.Duration
    error_reason: str
    verdict: Verdict
    from_cache: bool
    truncated: bool
    def __init__(self, key: _Optional[str] = ..., step: _Optional[int] = ..., outcome: _Optional[_Union[StepOutcome, str]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., error_reason: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., from_cache: bool = ..., truncated: bool = ...) -> None: ...

class StepSettled(_message.Message):
    __slots__ = ("key", "step", "cost")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    key: str
    step: int
    cost: _usage_pb2.Cost
    def __init__(self, key: _Optional[str] = ..., step: _Optional[int] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ...) -> None: ...

class StepAbandoned(_message.Message):
    __slots__ = ("key", "step", "how", "cost", "usage")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    key: str
    step: int
    how: Abandonment
    cost: _usage_pb2.Cost
    usage: _usage_pb2.Usage
    def __init__(self, key: _Optional[str] = ..., step: _Optional[int] = ..., how: _Optional[_Union[Abandonment, str]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ...) -> None: ...

class Answered(_message.Message):
    __slots__ = ("verdict", "model", "is_llm")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IS_LLM_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    model: str
    is_llm: bool
    def __init__(self, verdict: _Optional[_Union[Verdict, _Mapping]] = ..., model: _Optional[str] = ..., is_llm: bool = ...) -> None: ...

class Parked(_message.Message):
    __slots__ = ("reason", "key", "wake_at")
    REASON_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_FIELD_NUMBER: _ClassVar[int]
    reason: ParkReason
    key: str
    wake_at: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[_Union[ParkReason, str]] = ..., key: _Optional[str] = ..., wake_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CancelRequested(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("status", "error_reason", "usage", "cost", "error_metadata")
    class ErrorMetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ERROR_METADATA_FIELD_NUMBER: _ClassVar[int]
    status: FinalStatus
    error_reason: str
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    error_metadata: _containers.ScalarMap[str, str]
    def __init__(self, status: _Optional[_Union[FinalStatus, str]] = ..., error_reason: _Optional[str] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., error_metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Replayed(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Erased(_message.Message):
    __slots__ = ("by", "sequence")
    BY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    by: str
    sequence: int
    def __init__(self, by: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("action", "rules", "policy", "streamed")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    action: Action
    rules: _containers.RepeatedScalarFieldContainer[str]
    policy: str
    streamed: bool
    def __init__(self, action: _Optional[_Union[Action, str]] = ..., rules: _Optional[_Iterable[str]] = ..., policy: _Optional[str] = ..., streamed: bool = ...) -> None: ...
