"""Is a difference more than chance? Intervals and exact tests of counts. NumPy only."""

import math
from collections.abc import Sequence
from statistics import NormalDist


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion, (low, high) within [0, 1].

    With p = successes/n and z the normal quantile of (1 + confidence)/2:
    (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n). Nothing observed is (0, 1).

    Wilson: Probable Inference, the Law of Succession, and Statistical Inference,
    Journal of the American Statistical Association 22 (1927), 209-212.

    Raises:
        ValueError: not 0 ≤ successes ≤ n, or a confidence outside (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..n, received {successes} of {n}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, received {confidence}.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and n of n one end is exact; rounding must not move it past the proportion.
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == n else min(1.0, (centre + half) / scale)
    return low, high


def binomial_tail(successes: int, n: int, p: float) -> float:
    """Return the probability of at most so many successes in `n` trials of probability `p`.

    Raises:
        ValueError: not 0 ≤ successes ≤ n, or p outside [0, 1].
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..n, received {successes} of {n}.")
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie between 0 and 1, received {p}.")
    if successes == n or p == 0:
        return 1.0
    if p == 1:
        return 0.0
    log_p, log_q, log_n = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    return min(
        1.0,
        math.fsum(
            math.exp(
                log_n - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_p + (n - k) * log_q
            )
            for k in range(successes + 1)
        ),
    )


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value that gains and losses are equally likely.

    Only examples on which two classifiers disagree in being right tell them apart; under
    the null hypothesis the smaller count is Binomial(gained + lost, ½):
    p = min(1, 2·Σᵢ₌₀..min C(n, i)/2ⁿ), in whole numbers, so exact for any count.

    McNemar: Note on the sampling error of the difference between correlated proportions or
    percentages, Psychometrika 12 (1947), 153-157.

    Raises:
        ValueError: a negative count.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"counts must be at least 0, received {gained} and {lost}.")
    n = gained + lost
    ways = total = 1
    for i in range(min(gained, lost)):
        ways = ways * (n - i) // (i + 1)
        total += ways
    return min(1.0, 2 * total / (1 << n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the order given.

    The i-th smallest of m (from 0) is multiplied by m - i, never below its predecessor and
    at most 1: comparing them with 0.05 keeps the chance of any false alarm at 5 %.

    Holm: A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
    Statistics 6 (1979), 65-70.
    """
    corrected = [0.0] * len(p_values)
    floor = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = floor
    return corrected
