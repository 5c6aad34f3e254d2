"""What processes cost: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float:
    """User and system time of a process since its start, in ms. Resolution: one clock tick (10 ms)."""
    # the command's name may hold spaces; what follows its closing bracket does not
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_MS


def pss_mb(pids: Iterable[int]) -> float:
    """Memory of processes in MiB, shared pages divided among those that share them."""
    total_kb = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kb += int(line.split()[1])
    return total_kb / 1024
