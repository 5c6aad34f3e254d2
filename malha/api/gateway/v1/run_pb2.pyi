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

class Run(_message.Message):
    __slots__ = ("run_id", "agent", "status", "input", "answer", "citations", "steps", "usage", "cost", "error", "session_id", "create_time", "finish_time", "trace_id", "model", "model_note", "limits", "position")
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
    def __init__(self, run_id: _Optional[str] = ..., agent: _Optional[str] = ..., status: _Optional[_Union[RunStatus, str]] = ..., input: _Optional[str] = ..., answer: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[_chat_pb2.Citation, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., error: _Optional[_Union[RunError, _Mapping]] = ..., session_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trace_id: _Optional[str] = ..., model: _Optional[str] = ..., model_note: _Optional[str] = ..., limits: _Optional[_Union[_record_pb2.RunLimits, _Mapping]] = ..., position: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("position", "time", "accepted", "claimed", "step_started", "step_finished", "answered", "waiting", "cancel_requested", "finished")
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
    def __init__(self, position: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted: _Optional[_Union[RunAccepted, _Mapping]] = ..., claimed: _Optional[_Union[RunClaimed, _Mapping]] = ..., step_started: _Optional[_Union[Step, _Mapping]] = ..., step_finished: _Optional[_Union[Step, _Mapping]] = ..., answered: _Optional[_Union[RunAnswered, _Mapping]] = ..., waiting: _Optional[_Union[RunError, _Mapping]] = ..., cancel_requested: _Optional[_Union[RunCancelRequested, _Mapping]] = ..., finished: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class RunAccepted(_message.Message):
    __slots__ = ("run_id", "agent", "trace_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    agent: str
    trace_id: str
    def __init__(self, run_id: _Optional[str] = ..., agent: _Optional[str] = ..., trace_id: _Optional[str] = ...) -> None: ...

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

class RunCancelRequested(_message.Message):
    __slots__ = ("by", "reason")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
