"""Tenants' data keys, wrapped by the master key, one log a tenant in the stream KEYS.

The first writer's key is the tenant's: whoever races it is fenced and takes the stored one. A key's
id is a hash of the key, so it needs no place of its own and cannot name another key.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nats.aio.msg import Msg

from malha.api.run.v1.record_pb2 import Sealed
from malha.errors import ConfigurationError
from malha.run.nats_journal.connection import Connection
from malha.run.nats_journal.overwriting import overwrite
from malha.run.nats_journal.streams import KEY_SUBJECTS, KEYS, key_subject
from malha.run.nats_journal.subject_log import Refused, SubjectLog
from malha.run.sealing import DataKey, UnsealableError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_TENANTS_KEPT = 10_000


def read_master_key(path: Path) -> bytes:
    """The 32 bytes that ``path`` holds in hex. ConfigurationError for anything else, without quoting it."""
    try:
        key = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"{path.name} must hold {_KEY_BYTES} bytes in hex")
    return key


class NatsKeyRing:
    """``malha.run.KeyRing`` on the stream KEYS; opened keys are kept in memory, the newest tenants' only."""

    def __init__(self, connection: Connection, master_key: bytes, *, patience: float = 10.0) -> None:
        self._connection = connection
        self._log = SubjectLog(connection, KEYS, patience=patience)
        self._master = AESGCM(master_key)
        self._master_id = _key_id(master_key)
        self._kept: OrderedDict[str, list[DataKey]] = OrderedDict()
        self._forgot = 0
        """How often keys were forgotten: what was read before that is not kept after it."""

    async def listen(self) -> None:
        """From now on forget a tenant's keys when another process makes or destroys one, and all keys where
        that may not have been heard."""
        self._connection.on_reconnect(self._forget_all)
        await self._connection.nc.subscribe(KEY_SUBJECTS, cb=self._on_key)

    async def destroy(self, tenant: str) -> None:
        """Erase the tenant's keys: whatever they sealed stays closed, wherever a copy of it is. Then make a
        new one, by which all who listen learn of it."""
        for stored in await self._log.load(key_subject(tenant)):
            await overwrite(self._connection, KEYS, stored.sequence)
        self._forget(tenant)
        await self._create(tenant)

    async def _on_key(self, message: Msg) -> None:
        self._forget(message.subject.rpartition(".")[2])

    def _forget(self, tenant: str) -> None:
        self._kept.pop(tenant, None)
        self._forgot += 1

    def _forget_all(self) -> None:
        self._kept.clear()
        self._forgot += 1

    async def current(self, tenant: str) -> DataKey:
        keys = self._kept.get(tenant) or await self._load(tenant) or await self._create(tenant)
        return keys[-1]

    async def find(self, tenant: str, key_id: str) -> DataKey | None:
        for keys in (self._kept.get(tenant, []), None):
            for key in await self._load(tenant) if keys is None else keys:
                if key.key_id == key_id:
                    return key
        return None

    async def _load(self, tenant: str) -> list[DataKey]:
        forgot = self._forgot
        stored = await self._log.load(key_subject(tenant))
        keys = [self._unwrap(tenant, message.data) for message in stored]
        return self._keep(tenant, keys) if self._forgot == forgot else keys

    async def _create(self, tenant: str) -> list[DataKey]:
        secret = os.urandom(_KEY_BYTES)
        try:
            await self._log.append(key_subject(tenant), self._wrap(tenant, secret), expected=0)
        except Refused as refused:
            return self._keep(tenant, [self._unwrap(tenant, message.data) for message in refused.stored])
        return self._keep(tenant, [DataKey(_key_id(secret), secret)])

    def _keep(self, tenant: str, keys: list[DataKey]) -> list[DataKey]:
        if keys:
            self._kept[tenant] = keys
            self._kept.move_to_end(tenant)
            if len(self._kept) > _TENANTS_KEPT:
                self._kept.popitem(last=False)
        return keys

    def _wrap(self, tenant: str, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(
            key_id=self._master_id,
            nonce=nonce,
            ciphertext=self._master.encrypt(nonce, secret, key_subject(tenant).encode()),
        ).SerializeToString()

    def _unwrap(self, tenant: str, data: bytes) -> DataKey:
        wrapped = Sealed.FromString(data)
        try:
            secret = self._master.decrypt(wrapped.nonce, wrapped.ciphertext, key_subject(tenant).encode())
        except InvalidTag as error:
            raise UnsealableError("the tenant's key was wrapped by another master key") from error
        return DataKey(_key_id(secret), secret)


def _key_id(secret: bytes) -> str:
    return hashlib.sha256(b"malha-key-id:" + secret).hexdigest()[:16]
