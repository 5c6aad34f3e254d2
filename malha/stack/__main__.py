"""`python -m malha.stack`: what `malha up` does, without the rest of the command line."""

import argparse
import asyncio
import sys
from pathlib import Path

from malha.stack.ports import PortTakenError
from malha.stack.servers import MissingServerError
from malha.stack.supervisor import StartError
from malha.stack.up import StateInUseError, UpOptions, up


def main() -> int:
    """Run until a signal comes; 1 where the mesh could not start."""
    parser = argparse.ArgumentParser(prog="python -m malha.stack", description=up.__doc__)
    parser.add_argument("--state", type=Path, default=UpOptions.state)
    parser.add_argument("--free-ports", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--otlp-endpoint", default="")
    parser.add_argument("--access-log", action="store_true")
    try:
        asyncio.run(up(UpOptions(**vars(parser.parse_args()))))
    except (MissingServerError, PortTakenError, StateInUseError, StartError) as error:
        sys.stderr.write(f"malha: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
