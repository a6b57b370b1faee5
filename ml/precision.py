"""Which arithmetic this machine trains fastest in."""

from pathlib import Path

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the processor's feature flags; empty where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def fastest_policy(flags: frozenset[str] | None = None) -> str:
    """Return Keras's dtype policy: mixed bfloat16 only where the processor computes in it.

    Elsewhere bfloat16 is emulated and far slower than float32.
    """
    available = cpu_flags() if flags is None else flags
    return "mixed_bfloat16" if available & BFLOAT16_FLAGS else "float32"
