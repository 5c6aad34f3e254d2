"""Configuration files with blanks written @{name}, as nats-server and Envoy have uses for $ and %."""

import re
from pathlib import Path

# The configurations stand where operators look for them, beside those for clusters.
DEPLOY = Path(__file__).parents[2] / "deploy"


def fill(path: Path, **blanks: object) -> str:
    """The file's text with every blank filled; KeyError names a blank that nothing fills."""
    return re.sub(r"@\{([a-z_]+)\}", lambda blank: str(blanks[blank[1]]), path.read_text())
