"""Who a service is, and the short-lived tokens by which it speaks for a principal.

A token is a JWT signed with the calling service's Ed25519 key. It names the caller, the one callee it
is for, and the principal; so a callee can neither be fooled about who calls nor use the token
elsewhere. Signing and verifying cost 0.1 to 0.2 ms, so tokens are minted once per principal and
callee for a minute, and verified ones are remembered until they expire.
"""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from pathlib import Path
from typing import TypeVar

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from malha.api.common.v1.principal_pb2 import Principal
from malha.errors import ConfigurationError, ErrorReason, MalhaError

K = TypeVar("K")
V = TypeVar("V")

_LIFETIME = 120.0
_RENEW_BEFORE = 60.0  # a token handed out is good for at least this long
_REMEMBERED = 8192


class Identity:
    """This service's key, and the public keys of those it may hear from.

    Args:
        service: this service's name.
        key: its private key.
        known: public keys by service name.
    """

    def __init__(self, service: str, key: Ed25519PrivateKey, known: dict[str, Ed25519PublicKey]) -> None:
        self.service = service
        self._key = key
        self._known = known
        self._minted: OrderedDict[tuple[str, bytes], tuple[float, str]] = OrderedDict()
        self._verified: OrderedDict[str, tuple[float, str, Principal]] = OrderedDict()

    @classmethod
    def load(cls, secrets_dir: Path, service: str) -> Identity:
        """Read ``<service>.key`` and every ``*.pub`` of a folder; ConfigurationError where one is none."""
        path = secrets_dir / f"{service}.key"
        known: dict[str, Ed25519PublicKey] = {}
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise TypeError("it is not an Ed25519 key")
            for path in secrets_dir.glob("*.pub"):
                public = load_pem_public_key(path.read_bytes())
                if isinstance(public, Ed25519PublicKey):
                    known[path.stem] = public
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"{path} cannot be used: {error}") from error
        return cls(service, key, known)

    def mint(self, callee: str, principal: Principal) -> str:
        """A token for ``callee`` to act for ``principal``, good for a minute or two."""
        packed = principal.SerializeToString(deterministic=True)
        now = time.time()
        held = self._minted.get((callee, packed))
        if held and held[0] - now > _RENEW_BEFORE:
            return held[1]
        expires = now + _LIFETIME
        token = jwt.encode(
            {
                "iss": self.service,
                "aud": callee,
                "exp": int(expires),
                "sub": base64.urlsafe_b64encode(packed).decode(),
            },
            self._key,
            algorithm="EdDSA",
        )
        _remember(self._minted, (callee, packed), (expires, token))
        return token

    def verify(self, token: str) -> tuple[str, Principal]:
        """The calling service and the principal of a token made for this service.

        Raises:
            MalhaError: CREDENTIAL_INVALID, whatever is wrong with it.
        """
        held = self._verified.get(token)
        if held and held[0] > time.time():
            return held[1], held[2]
        try:
            claimed = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
            claims = jwt.decode(
                token,
                self._known[claimed],
                algorithms=["EdDSA"],
                audience=self.service,
                options={"require": ["exp", "aud", "iss", "sub"]},
                leeway=5,
            )
            principal = Principal.FromString(base64.urlsafe_b64decode(claims["sub"]))
        except (jwt.InvalidTokenError, KeyError, ValueError) as error:
            raise MalhaError(
                ErrorReason.ERROR_REASON_CREDENTIAL_INVALID, "the calling service's token is not valid"
            ) from error
        _remember(self._verified, token, (float(claims["exp"]), claimed, principal))
        return claimed, principal


def _remember(store: OrderedDict[K, V], key: K, value: V) -> None:
    store[key] = value
    if len(store) > _REMEMBERED:
        store.popitem(last=False)
