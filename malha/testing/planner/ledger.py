"""A till: money is reserved before it is spent."""

from __future__ import annotations

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    Denied,
    Reserved,
    Settled,
    Settlement,
    SettleRequest,
    SettleResponse,
)
from malha.errors import ErrorReason, MalhaError

MODEL_MICROUSD = 10
"""What a model call costs; its ceiling is ten times that."""


class MemoryLedger:
    """One tenant's budget. `spent` and `reserved` are micro-dollars."""

    def __init__(self, limit: int = 10**9) -> None:
        self.limit = limit
        self.entries: dict[str, tuple[int, int | None]] = {}
        """(reserved, settled or None) by key."""
        self.agents: dict[str, tuple[str, str]] = {}
        """Name and version of the agent by key."""
        self.spent = 0
        self.reserved = 0
        self.calls: list[str] = []
        self.fitting_output = 0
        """Output tokens that a model call is shortened to; zero grants what is asked."""
        self.reasons = False
        """Whether models think in tokens that they bill and do not show."""
        self.away = 0
        """How many calls to refuse as a service that is away."""
        self.refusal = ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
        """What they are refused with."""
        self.mute = False
        """Whether answers to `authorize` are lost on their way, what they say done."""

    def enter(self, key: str, reserved: int, settled: int | None) -> None:
        """Write an entry, in place of the one under the key."""
        for (held, spent), sign in ((self.entries.get(key, (0, 0)), -1), ((reserved, settled), 1)):
            self.spent += sign * (spent or 0)
            self.reserved += sign * (held if spent is None else 0)
        self.entries[key] = reserved, settled

    def asked(self) -> bool:
        """Whether anyone asked for money."""
        return bool(self.calls)

    async def authorize(self, request: AuthorizeRequest) -> AuthorizeResponse:
        self._called("authorize")
        response = AuthorizeResponse(settled=[self._settle(one) for one in request.settle])
        wanted = {
            one.key: one.tool.price_microusd if one.HasField("tool") else 10 * MODEL_MICROUSD
            for one in request.reserve
        }
        if sum(wanted.values()) + self.spent + self.reserved > self.limit:
            budget = Budget(scope=Scope.SCOPE_TENANT, limit_microusd=self.limit)
            status = BudgetStatus(budget=budget, spent_microusd=self.spent, reserved_microusd=self.reserved)
            may_free = sum(wanted.values()) + self.spent <= self.limit
            response.denied.CopyFrom(
                Denied(budget=status, wanted_microusd=sum(wanted.values()), may_free=may_free)
            )
            return response
        self.agents |= {one.key: (one.agent, one.agent_version) for one in request.reserve}
        for key, amount in wanted.items():
            if key not in self.entries:
                self.enter(key, amount, None)
            held = Reserved(key=key, amount_microusd=amount, max_output_tokens=self.fitting_output)
            held.reasons = self.reasons
            response.reserved.append(held)
        if self.mute:
            raise MalhaError(ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, "the answer is lost")
        return response

    async def settle(self, request: SettleRequest) -> SettleResponse:
        self._called("settle")
        return SettleResponse(settled=[self._settle(one) for one in request.settle])

    def _called(self, name: str) -> None:
        if self.away > 0:
            self.away -= 1
            raise MalhaError(self.refusal, "cost is away")
        self.calls.append(name)

    def _settle(self, settlement: Settlement) -> Settled:
        if settlement.key not in self.entries and settlement.release:
            self.enter(settlement.key, 0, 0)
        if settlement.key not in self.entries and settlement.HasField("free"):
            assert not settlement.free.tool.price_microusd, "what costs money is reserved first"
            self.enter(settlement.key, 0, None)
            self.agents[settlement.key] = settlement.free.agent, settlement.free.agent_version
        if settlement.key not in self.entries:
            raise MalhaError(ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND, "nothing was reserved")
        reserved, settled = self.entries[settlement.key]
        amount = {
            "usage": MODEL_MICROUSD,
            "amount_microusd": settlement.amount_microusd,
            "at_ceiling": reserved,
            "release": 0,
        }[settlement.WhichOneof("figures") or "release"]
        if settled is None or not settlement.at_ceiling:
            self.enter(settlement.key, reserved, amount)
        answer = Settled(key=settlement.key)
        answer.cost.amount_microusd = self.entries[settlement.key][1] or 0
        answer.cost.reference_microusd = 2 * answer.cost.amount_microusd
        return answer
