"""Keys made and ended, within what their maker may give.

Nobody can make a key stronger than their own: its scopes are among the maker's, and another tenant
or a higher tier needs the scope "operator".
"""

from __future__ import annotations

from datetime import UTC, datetime

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.gateway.v1.admin_service_pb2 import CreateApiKeyRequest
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError, invalid
from malha_gateway.authentication import Authenticator, require
from malha_gateway.keys import LIFETIME, StoredKey, digest, new_key
from malha_gateway.ports import KeyStore

_DEFAULT_SCOPES = ("runs", "knowledge")


class Administration:
    """Makes and ends API keys."""

    def __init__(self, store: KeyStore, authenticator: Authenticator, clock: Clock) -> None:
        self._store = store
        self._authenticator = authenticator
        self._clock = clock

    async def create(self, maker: Principal, request: CreateApiKeyRequest) -> tuple[StoredKey, str]:
        """A new key as it is kept, and the API key itself, which exists nowhere else.

        Raises:
            MalhaError: SCOPE_MISSING; FIELD_INVALID.
        """
        tenant = request.tenant or maker.tenant
        tier = request.tier or Tier.TIER_FREE
        if tenant != maker.tenant or tier > maker.tier:
            require(maker, "operator")
        scopes = list(request.scopes) or [scope for scope in _DEFAULT_SCOPES if scope in maker.scopes]
        for scope in scopes:
            require(maker, scope)
        key_id, api_key = new_key()
        principal = Principal(tenant=tenant, subject=request.subject, key_id=key_id, tier=tier, scopes=scopes)
        key = StoredKey(principal, digest(api_key), self._expiry(request))
        await self._store.put(key)
        return key, api_key

    async def revoke(self, by: Principal, key_id: str) -> Principal:
        """End a key of one's own tenant; an operator may end any. Answers whose it was.

        Raises:
            MalhaError: KEY_NOT_FOUND where there is no such key within reach.
        """
        key = await self._store.find(key_id)
        if key is None or (key.principal.tenant != by.tenant and "operator" not in by.scopes):
            raise MalhaError(ErrorReason.ERROR_REASON_KEY_NOT_FOUND, "there is no such key")
        await self._store.revoke(key_id, self._clock.now())
        self._authenticator.forget(key_id)
        return key.principal

    def _expiry(self, request: CreateApiKeyRequest) -> datetime:
        now = self._clock.now()
        if not request.HasField("expire_time"):
            return now + LIFETIME
        try:
            # whole seconds: kept as a float, the last microsecond of the year 9999 is one of the year after
            asked = request.expire_time.ToDatetime(tzinfo=UTC).replace(microsecond=0)
        except ValueError:
            raise invalid("expire_time", "is no time") from None
        if asked <= now:
            raise invalid("expire_time", "lies in the past")
        return asked
