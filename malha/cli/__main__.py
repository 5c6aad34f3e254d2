"""The ``malha`` command's first and last word."""

from __future__ import annotations

import io
import signal
import sys


def main() -> None:
    """Entry point of the ``malha`` command."""
    try:
        from malha.cli.commands import app  # takes a moment, in which Ctrl-C may come
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a poor character set shows less; it ends no command
    sys.exit(app())


if __name__ == "__main__":
    main()
