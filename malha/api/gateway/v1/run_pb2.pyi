import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from malha.api.common.v1 import usage_pb2 as _usage_pb2
from malha.api.run.v1 import chat_pb2 as _chat_pb2
from malha.api.run.v1 import record_pb2 as _record_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATUS_UNSPECIFIED: _ClassVar[RunStatus]
    RUN_STATUS_QUEUED: _ClassVar[RunStatus]
    RUN_STATUS_RUNNING: _ClassVar[RunStatus]
    RUN_STATUS_WAITING: _ClassVar[RunStatus]
    RUN_STATUS_SUCCEEDED: _ClassVar[RunStatus]
    RUN_STATUS_FAILED: _ClassVar[RunStatus]
    RUN_STATUS_CANCELLED: _ClassVar[RunStatus]
    RUN_STATUS_DEAD: _ClassVar[RunStatus]

class StepStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_STATUS_UNSPECIFIED: _ClassVar[StepStatus]
    STEP_STATUS_RUNNING: _ClassVar[StepStatus]
    STEP_STATUS_OK: _ClassVar[StepStatus]
    STEP_STATUS_FAILED: _ClassVar[StepStatus]
    STEP_STATUS_BLOCKED: _ClassVar[StepStatus]
    STEP_STATUS_ABANDONED: _ClassVar[StepStatus]

class ApprovalStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_STATUS_UNSPECIFIED: _ClassVar[ApprovalStatus]
    APPROVAL_STATUS_PENDING: _ClassVar[ApprovalStatus]
    APPROVAL_STATUS_APPROVED: _ClassVar[ApprovalStatus]
    APPROVAL_STATUS_REJECTED: _ClassVar[ApprovalStatus]
    APPROVAL_STATUS_LAPSED: _ClassVar[ApprovalStatus]
    APPROVAL_STATUS_NOTICE: _ClassVar[ApprovalStatus]
    APPROVAL_STATUS_SETTLED: _ClassVar[ApprovalStatus]
RUN_STATUS_UNSPECIFIED: RunStatus
RUN_STATUS_QUEUED: RunStatus
RUN_STATUS_RUNNING: RunStatus
RUN_STATUS_WAITING: RunStatus
RUN_STATUS_SUCCEEDED: RunStatus
RUN_STATUS_FAILED: RunStatus
RUN_STATUS_CANCELLED: RunStatus
RUN_STATUS_DEAD: RunStatus
STEP_STATUS_UNSPECIFIED: StepStatus
STEP_STATUS_RUNNING: StepStatus
STEP_STATUS_OK: StepStatus
STEP_STATUS_FAILED: StepStatus
STEP_STATUS_BLOCKED: StepStatus
STEP_STATUS_ABANDONED: StepStatus
APPROVAL_STATUS_UNSPECIFIED: ApprovalStatus
APPROVAL_STATUS_PENDING: ApprovalStatus
APPROVAL_STATUS_APPROVED: ApprovalStatus
APPROVAL_STATUS_REJECTED: ApprovalStatus
APPROVAL_STATUS_LAPSED: ApprovalStatus
APPROVAL_STATUS_NOTICE: ApprovalStatus
APPROVAL_STATUS_SETTLED: ApprovalStatus

class Run(_message.Message):
    __slots__ = ("run_id", "agent", "status", "input", "answer", "citations", "steps", "usage", "cost", "error", "session_id", "create_time", "finish_time", "trace_id", "model", "model_note", "limits", "position", "approvals")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_NOTE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    agent: str
    status: RunStatus
    input: str
    answer: str
    citations: _containers.RepeatedCompositeFieldContainer[_chat_pb2.Citation]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    error: RunError
    session_id: str
    create_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    trace_id: str
    model: str
    model_note: str
    limits: _record_pb2.RunLimits
    position: str
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, run_id: _Optional[str] = ..., agent: _Optional[str] = ..., status: _Optional[_Union[RunStatus, str]] = ..., input: _Optional[str] = ..., answer: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[_chat_pb2.Citation, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., error: _Optional[_Union[RunError, _Mapping]] = ..., session_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trace_id: _Optional[str] = ..., model: _Optional[str] = ..., model_note: _Optional[str] = ..., limits: _Optional[_Union[_record_pb2.RunLimits, _Mapping]] = ..., position: _Optional[str] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class RunError(_message.Message):
    __slots__ = ("reason", "message", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("step", "key", "kind", "name", "status", "arguments_json", "text", "tool_calls", "usage", "cost", "start_time", "elapsed", "error", "offered_tools", "verdict", "from_cache")
    STEP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OFFERED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    FROM_CACHE_FIELD_NUMBER: _ClassVar[int]
    step: int
    key: str
    kind: _record_pb2.StepKind
    name: str
    status: StepStatus
    arguments_json: str
    text: str
    tool_calls: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ToolCall]
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    start_time: _timestamp_pb2.Timestamp
    elapsed: _duration_pb2.Duration
    error: RunError
    offered_tools: _containers.RepeatedScalarFieldContainer[str]
    verdict: _record_pb2.Verdict
    from_cache: bool
    def __init__(self, step: _Optional[int] = ..., key: _Optional[str] = ..., kind: _Optional[_Union[_record_pb2.StepKind, str]] = ..., name: _Optional[str] = ..., status: _Optional[_Union[StepStatus, str]] = ..., arguments_json: _Optional[str] = ..., text: _Optional[str] = ..., tool_calls: _Optional[_Iterable[_Union[_chat_pb2.ToolCall, _Mapping]]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., error: _Optional[_Union[RunError, _Mapping]] = ..., offered_tools: _Optional[_Iterable[str]] = ..., verdict: _Optional[_Union[_record_pb2.Verdict, _Mapping]] = ..., from_cache: bool = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("position", "time", "accepted", "claimed", "step_started", "step_finished", "answered", "waiting", "cancel_requested", "finished", "approval_requested", "notified", "decided", "replayed", "dropped", "step_settled", "delta")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    STEP_STARTED_FIELD_NUMBER: _ClassVar[int]
    STEP_FINISHED_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    NOTIFIED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    STEP_SETTLED_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    position: str
    time: _timestamp_pb2.Timestamp
    accepted: RunAccepted
    claimed: RunClaimed
    step_started: Step
    step_finished: Step
    answered: RunAnswered
    waiting: RunError
    cancel_requested: RunCancelRequested
    finished: Run
    approval_requested: Approval
    notified: Approval
    decided: Approval
    replayed: RunReplayed
    dropped: RunDropped
    step_settled: RunStepSettled
    delta: TextDelta
    def __init__(self, position: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted: _Optional[_Union[RunAccepted, _Mapping]] = ..., claimed: _Optional[_Union[RunClaimed, _Mapping]] = ..., step_started: _Optional[_Union[Step, _Mapping]] = ..., step_finished: _Optional[_Union[Step, _Mapping]] = ..., answered: _Optional[_Union[RunAnswered, _Mapping]] = ..., waiting: _Optional[_Union[RunError, _Mapping]] = ..., cancel_requested: _Optional[_Union[RunCancelRequested, _Mapping]] = ..., finished: _Optional[_Union[Run, _Mapping]] = ..., approval_requested: _Optional[_Union[Approval, _Mapping]] = ..., notified: _Optional[_Union[Approval, _Mapping]] = ..., decided: _Optional[_Union[Approval, _Mapping]] = ..., replayed: _Optional[_Union[RunReplayed, _Mapping]] = ..., dropped: _Optional[_Union[RunDropped, _Mapping]] = ..., step_settled: _Optional[_Union[RunStepSettled, _Mapping]] = ..., delta: _Optional[_Union[TextDelta, _Mapping]] = ...) -> None: ...

class TextDelta(_message.Message):
    __slots__ = ("step", "offset", "text", "reset")
    STEP_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    step: int
    offset: int
    text: str
    reset: bool
    def __init__(self, step: _Optional[int] = ..., offset: _Optional[int] = ..., text: _Optional[str] = ..., reset: bool = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("run_id", "agent", "step", "tool", "tool_version", "risk", "summary", "arguments_json", "hash", "policy", "approvals_needed", "preauthorisation", "status", "outcome_unknown", "decisions", "initiator", "request_time", "expire_time", "rejection_ends_run")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    TOOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_NEEDED_FIELD_NUMBER: _ClassVar[int]
    PREAUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    INITIATOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REJECTION_ENDS_RUN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    agent: str
    step: int
    tool: str
    tool_version: str
    risk: _record_pb2.Risk
    summary: str
    arguments_json: str
    hash: str
    policy: str
    approvals_needed: int
    preauthorisation: str
    status: ApprovalStatus
    outcome_unknown: bool
    decisions: _containers.RepeatedCompositeFieldContainer[ApprovalDecision]
    initiator: str
    request_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    rejection_ends_run: bool
    def __init__(self, run_id: _Optional[str] = ..., agent: _Optional[str] = ..., step: _Optional[int] = ..., tool: _Optional[str] = ..., tool_version: _Optional[str] = ..., risk: _Optional[_Union[_record_pb2.Risk, str]] = ..., summary: _Optional[str] = ..., arguments_json: _Optional[str] = ..., hash: _Optional[str] = ..., policy: _Optional[str] = ..., approvals_needed: _Optional[int] = ..., preauthorisation: _Optional[str] = ..., status: _Optional[_Union[ApprovalStatus, str]] = ..., outcome_unknown: bool = ..., decisions: _Optional[_Iterable[_Union[ApprovalDecision, _Mapping]]] = ..., initiator: _Optional[str] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rejection_ends_run: bool = ...) -> None: ...

class ApprovalDecision(_message.Message):
    __slots__ = ("decision", "by", "comment", "result", "time")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    decision: _record_pb2.Decision
    by: str
    comment: str
    result: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, decision: _Optional[_Union[_record_pb2.Decision, str]] = ..., by: _Optional[str] = ..., comment: _Optional[str] = ..., result: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RunAccepted(_message.Message):
    __slots__ = ("run_id", "agent", "trace_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    agent: str
    trace_id: str
    def __init__(self, run_id: _Optional[str] = ..., agent: _Optional[str] = ..., trace_id: _Optional[str] = ...) -> None: ...

class RunStepSettled(_message.Message):
    __slots__ = ("step", "key", "cost")
    STEP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    step: int
    key: str
    cost: _usage_pb2.Cost
    def __init__(self, step: _Optional[int] = ..., key: _Optional[str] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ...) -> None: ...

class RunClaimed(_message.Message):
    __slots__ = ("delivery",)
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    delivery: int
    def __init__(self, delivery: _Optional[int] = ...) -> None: ...

class RunAnswered(_message.Message):
    __slots__ = ("text", "citations", "model", "model_note", "verdict")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_NOTE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    text: str
    citations: _containers.RepeatedCompositeFieldContainer[_chat_pb2.Citation]
    model: str
    model_note: str
    verdict: _record_pb2.Verdict
    def __init__(self, text: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[_chat_pb2.Citation, _Mapping]]] = ..., model: _Optional[str] = ..., model_note: _Optional[str] = ..., verdict: _Optional[_Union[_record_pb2.Verdict, _Mapping]] = ...) -> None: ...

class RunReplayed(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RunDropped(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RunCancelRequested(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
