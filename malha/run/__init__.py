"""A run is a journal: keys, append, load, fold, claim, resume, announce.

Everything here is pure except ``malha.run.nats_journal``, the adapter over NATS JetStream.
"""

from malha.api.run.v1.record_pb2 import Priority
from malha.run.accept import accept, amend, refuse_other
from malha.run.archive import Archive, JournalWithArchive, opens, pack, unpack
from malha.run.call_hash import NoCanonicalFormError, attempt_hash, call_hash
from malha.run.cancelling import cancelled, cancelled_as_asked, untouched
from malha.run.claim import (
    MAX_CLAIMS,
    MAX_DELIVERIES,
    ClaimDecision,
    decide_claim,
    goes_on,
    other_item,
    wake_time,
)
from malha.run.facts import alerted, erasure, facts, wakes, without_content
from malha.run.fold import fold, fold_whatever
from malha.run.journal import Doorbell, Entry, Fenced, Journal
from malha.run.keys import (
    StepKey,
    alert_id,
    delta_subject,
    erased_id,
    parse_step_key,
    run_id_for,
    step_key,
    subject,
)
from malha.run.lane import lane_of, parse_lane
from malha.run.limits import check_room
from malha.run.live_text import DELTA, LiveText
from malha.run.position import Position, StreamPosition, parse_position, parse_stream_position
from malha.run.proposals import APPROVALS_NEEDED, Proposal, Ruling, Standing
from malha.run.rebase import Rebase, rebase
from malha.run.resume import Resume, resume, settle, settlements
from malha.run.sealing import DataKey, KeyRing, Sealer, UnsealableError
from malha.run.state import BrokenJournalError, RunState, StepState
from malha.run.sums import sum_up

__all__ = [
    "APPROVALS_NEEDED",
    "DELTA",
    "MAX_CLAIMS",
    "MAX_DELIVERIES",
    "Archive",
    "BrokenJournalError",
    "ClaimDecision",
    "DataKey",
    "Doorbell",
    "Entry",
    "Fenced",
    "Journal",
    "JournalWithArchive",
    "KeyRing",
    "LiveText",
    "NoCanonicalFormError",
    "Position",
    "Priority",
    "Proposal",
    "Rebase",
    "Resume",
    "Ruling",
    "RunState",
    "Sealer",
    "Standing",
    "StepKey",
    "StepState",
    "StreamPosition",
    "UnsealableError",
    "accept",
    "alert_id",
    "alerted",
    "amend",
    "attempt_hash",
    "call_hash",
    "cancelled",
    "cancelled_as_asked",
    "check_room",
    "decide_claim",
    "delta_subject",
    "erased_id",
    "erasure",
    "facts",
    "fold",
    "fold_whatever",
    "goes_on",
    "lane_of",
    "opens",
    "other_item",
    "pack",
    "parse_lane",
    "parse_position",
    "parse_step_key",
    "parse_stream_position",
    "rebase",
    "refuse_other",
    "resume",
    "run_id_for",
    "settle",
    "settlements",
    "step_key",
    "subject",
    "sum_up",
    "unpack",
    "untouched",
    "wake_time",
    "wakes",
    "without_content",
]
