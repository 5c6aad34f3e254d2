"""Malha: a gRPC mesh that runs tool-using LLM agents in production for many tenants."""

import os

# gRPC's handlers around fork() crash a process that starts another one beside live channels: 9 of 92 tries
# of 150 forks each ended in SIGSEGV, none of 52 without the handlers. We fork only to exec, which needs
# none of them. Read when grpc is imported, so it is said here; whoever needs them sets the variable.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
