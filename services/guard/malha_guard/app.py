"""The wiring of the guard."""

from __future__ import annotations

from malha import lifecycle
from malha.api.guard.v1.guard_service_pb2_grpc import add_GuardServiceServicer_to_server
from malha.telemetry import log
from malha.wire import Identity, Server
from malha_guard.adapters.policy_files import BUNDLED, PolicyFile
from malha_guard.servicer import GuardServicer
from malha_guard.settings import Settings

CALLERS = frozenset({"gateway", "planner", "tools"})


async def main(settings: Settings) -> None:
    """Serve until told to stop."""
    policies = PolicyFile(settings.policy_file or BUNDLED)
    log.info("policy", version=policies.policy.version)
    identity = Identity.load(settings.secrets_dir, "guard")
    server = Server("guard", identity=identity, allow=CALLERS, max_concurrent=settings.max_concurrent)
    server.add(add_GuardServiceServicer_to_server, GuardServicer(policies))
    await lifecycle.serve(server, settings)
