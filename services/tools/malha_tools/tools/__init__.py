"""The tools that ship: each one object with a contract and a ``run``."""
