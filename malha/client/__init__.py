"""The client for Python programs; other languages generate theirs from ``proto/``."""

from malha.client.client import Client
from malha.client.target import DEFAULT_GRPC_TARGET
from malha.client.text import RunText
from malha.errors import ErrorReason, MalhaError

__all__ = ["DEFAULT_GRPC_TARGET", "Client", "ErrorReason", "MalhaError", "RunText"]
