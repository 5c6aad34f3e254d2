"""Malha: a gRPC mesh that runs tool-using LLM agents in production for many tenants."""

__version__ = "0.1.0"
