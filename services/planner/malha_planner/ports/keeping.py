"""What outlives runs: held money, alerts, archives, keys, and how it is let go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from malha.api.cost.v1.cost_service_pb2 import (
    AlertName,
    ListHeldResponse,
    SettleRequest,
    SettleResponse,
)
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.planner.v1.erasure_pb2 import Erasure
from malha.api.run.v1.archive_pb2 import ArchivedRecord
from malha.run import Entry


class HeldMoney(Protocol):
    """What the ledger holds of all tenants, and how it is let go."""

    async def held(self, older_than: timedelta, *, skip: int) -> ListHeldResponse:
        """Runs that hold something and reserved nothing for so long, but for the first ``skip`` of them."""

    async def settle(self, request: SettleRequest) -> SettleResponse:
        """Settle reservations of the current principal's tenant."""


class Alerts(Protocol):
    """What the ledger wants people to hear of, of all tenants."""

    async def untold(self) -> Sequence[Alert]:
        """Alerts that were not announced yet, the oldest first."""

    async def told(self, alerts: Sequence[AlertName]) -> None:
        """These were; told again it changes nothing."""


class Shelf(Protocol):
    """Where journals are kept once they left the stream; what is stored is on disk."""

    async def put(self, tenant: str, run_id: str, entries: Sequence[Entry]) -> bool:
        """Keep a journal, unless it is there or was erased; whether it is there now."""

    async def records(self, tenant: str, run_id: str) -> Sequence[ArchivedRecord]:
        """The journal as it is kept; empty for a run that is not there."""

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        """The same as entries (`malha.run.Archive`)."""

    async def remove(self, tenant: str, run_id: str, *, through: int) -> None:
        """Delete a journal that ends at or before that sequence."""


class Erasures(Protocol):
    """What is to be erased, durably, from the asking to the end."""

    async def ask(self, erasure: Erasure) -> None:
        """Keep it until it is done; one that was asked for already stays as it is."""

    async def asked(self, *, after: Erasure | None = None, limit: int) -> list[Erasure]:
        """Those that are not done, always in the same order; behind one of them, or from the first."""

    async def waits(self, tenant: str, run_id: str) -> bool:
        """Whether an erasure of the run is not done."""

    async def done(self, erasure: Erasure) -> None:
        """Forget what was to be erased."""


class Streams(Protocol):
    """Deletes messages so that their bytes are overwritten. What is gone already is no error."""

    async def erase_records(self, sequences: Sequence[int]) -> None:
        """Records of one journal: its first, then its last, then all others."""

    async def erase_events(self, sequences: Sequence[int]) -> None:
        """The events that announced these records."""

    async def holds(self, sequence: int) -> bool:
        """Whether the stream of runs has a record there."""

    async def clear_queue(self) -> bool:
        """Let go of hints that were taken out of the queue; false while others wait in it."""


class Effects(Protocol):
    """What the tools service keeps of a run of the current principal's tenant."""

    async def erase(self, run_id: str) -> None:
        """Erase it; asked again it changes nothing."""


class Keys(Protocol):
    """Tenants' data keys."""

    async def destroy(self, tenant: str) -> None:
        """Erase the tenant's keys and make a new one: what they sealed stays closed, wherever it is."""


class Disk(Protocol):
    """The files of the planner's databases."""

    async def scour(self, ids: Sequence[str]) -> None:
        """Leave no byte of deleted rows behind, those with these ids first of all."""
