"""What needs no key: readiness, and webhooks of those who take the money."""

from __future__ import annotations

from malha import __version__
from malha.api.gateway.v1 import billing_service_pb2 as billing_pb
from malha.api.gateway.v1 import health_service_pb2 as health_pb
from malha.api.gateway.v1.billing_service_pb2_grpc import BillingServiceServicer
from malha.api.gateway.v1.health_service_pb2_grpc import HealthServiceServicer
from malha.wire import current
from malha_gateway import stripe
from malha_gateway.billing import Billing
from malha_gateway.readiness import Readiness
from malha_gateway.servicer.calls import Context


class BillingServicer(BillingServiceServicer):
    """Webhooks of those who take the money, for whoever signs them."""

    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def ReceiveStripeEvent(
        self, request: billing_pb.ReceiveStripeEventRequest, _context: Context
    ) -> billing_pb.ReceiveStripeEventResponse:
        signature = current().metadata.get(stripe.HEADER, "")
        outcome = await self._billing.receive(request.event.data, signature)
        return billing_pb.ReceiveStripeEventResponse(outcome=outcome)


class HealthServicer(HealthServiceServicer):
    """Readiness, for whoever asks."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def CheckHealth(
        self, _request: health_pb.CheckHealthRequest, _context: Context
    ) -> health_pb.CheckHealthResponse:
        await self._readiness.check()
        return health_pb.CheckHealthResponse(status="ready", version=__version__)
