from buf.validate import validate_pb2 as _validate_pb2
from malha.api.run.v1 import record_pb2 as _record_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_INPUT: _ClassVar[Stage]
    STAGE_TOOL_RESULT: _ClassVar[Stage]
    STAGE_OUTPUT: _ClassVar[Stage]
STAGE_UNSPECIFIED: Stage
STAGE_INPUT: Stage
STAGE_TOOL_RESULT: Stage
STAGE_OUTPUT: Stage

class CheckRequest(_message.Message):
    __slots__ = ("stage", "texts", "agent")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    texts: _containers.RepeatedScalarFieldContainer[str]
    agent: str
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., texts: _Optional[_Iterable[str]] = ..., agent: _Optional[str] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("judgements",)
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    judgements: _containers.RepeatedCompositeFieldContainer[Judgement]
    def __init__(self, judgements: _Optional[_Iterable[_Union[Judgement, _Mapping]]] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("verdict", "text", "message")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    verdict: _record_pb2.Verdict
    text: str
    message: str
    def __init__(self, verdict: _Optional[_Union[_record_pb2.Verdict, _Mapping]] = ..., text: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class FilterStreamRequest(_message.Message):
    __slots__ = ("text", "agent")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    text: str
    agent: str
    def __init__(self, text: _Optional[str] = ..., agent: _Optional[str] = ...) -> None: ...

class FilterStreamResponse(_message.Message):
    __slots__ = ("text", "reset", "judgement")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENT_FIELD_NUMBER: _ClassVar[int]
    text: str
    reset: bool
    judgement: Judgement
    def __init__(self, text: _Optional[str] = ..., reset: bool = ..., judgement: _Optional[_Union[Judgement, _Mapping]] = ...) -> None: ...
