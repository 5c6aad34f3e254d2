"""Secrets of a mesh on one machine: made at its first start, kept in one folder, readable by its owner alone.

Each service gets a folder with what it needs and no more: its own private key, everyone's public
keys, and the master key only where content is sealed and opened. It is the folder that a cluster
would mount into its pod.
"""

import secrets
from collections.abc import Callable
from pathlib import Path

SERVICES = ("gateway", "planner", "tools", "retrieval", "guard", "cost")
CALLERS = (*SERVICES, "cli")
SEALERS = ("gateway", "planner")  # they write and read the journal
TENANT = "dev"  # whom the development key belongs to


class Secrets:
    """The folder `root`; what it lacks is made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (root / "cli" / "cli.key").exists():
            _make_keys(root)
        # a form that the gateway knows: id, then 256 bits of chance
        self.api_key = self._text("dev.key", lambda: f"mk_dev_{secrets.token_urlsafe(32)}")

    def of(self, service: str) -> Path:
        """The folder to hand to a service."""
        return self.root / service

    @property
    def api_key_file(self) -> Path:
        """The development API key, for the gateway to import."""
        return self.root / "dev.key"

    def nats_password(self, user: str) -> str:
        """The password of a NATS user."""
        return self._text(f"nats-{user}.password", lambda: secrets.token_urlsafe(24))

    def _text(self, name: str, make: Callable[[], str]) -> str:
        path = self.root / name
        if not path.exists():
            _write(path, make().encode())
        return path.read_text().strip()


def _make_keys(root: Path) -> None:
    # here and not above: only the first start needs it, and it costs the supervisor 10 MB for life
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    keys = {name: Ed25519PrivateKey.generate() for name in CALLERS}
    master = secrets.token_hex(32).encode()
    for name, key in keys.items():
        folder = root / name
        folder.mkdir(exist_ok=True, mode=0o700)
        for other, its_key in keys.items():
            public = its_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            _write(folder / f"{other}.pub", public)
        if name in SEALERS:
            _write(folder / "master.key", master)
        _write(folder / f"{name}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
