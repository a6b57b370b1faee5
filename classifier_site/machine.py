"""What this machine lets us use."""

import math
import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "max 100000" or "<quota> <period>", in µs


def usable_cores(quota_file: Path = CGROUP_QUOTA) -> int:
    """Return the number of cores this process may use, at least 1.

    Of the cores the scheduler allows, a container's CPU quota may grant fewer; part of a
    core counts as one.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # not Linux
        cores = os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no cgroup v2, or no quota ("max")
    return max(cores, 1)
