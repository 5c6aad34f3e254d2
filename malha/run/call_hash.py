"""What exactly a person approves, as one number.

The hash covers everything that decides what will happen: the tool and the version of its contract, its
arguments in the one canonical spelling of RFC 8785, and the version of the policy under which leave is
asked for. Whoever runs the call makes it again from what is about to run.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


class NoCanonicalFormError(ValueError):
    """The arguments have no canonical JSON: a number that JSON cannot hold exactly, or too deep a nest."""


def call_hash(tool: str, version: str, arguments: Any, policy: str) -> bytes:
    """SHA-256 (32 bytes) over the canonical JSON of the four. Raises NoCanonicalFormError.

    Args:
        arguments: as parsed from the call's JSON; spelling and order of keys make no difference.
        policy: version of the policy of approvals in force.
    """
    try:
        canonical = rfc8785.dumps(
            {"tool": tool, "version": version, "arguments": arguments, "policy": policy}
        )
    except rfc8785.CanonicalizationError as error:
        raise NoCanonicalFormError(str(error)) from error
    except RecursionError:
        raise NoCanonicalFormError("they are nested too deeply") from None
    return hashlib.sha256(canonical).digest()


def attempt_hash(key: str) -> bytes:
    """What a person decides on who says what became of an attempt: its effect key, which stands for the
    tool and its arguments for good."""
    return hashlib.sha256(key.encode()).digest()
