"""Fits the polynomials of src/intact/kernels/math_f32.inl.h and prints their coefficients.

Each fit minimises the largest relative error of the whole function, by Lawson's weights (least squares whose
weights grow where the error is large), over Chebyshev nodes, in double; coefficients are then rounded to
float from the lowest degree up, refitting the rest after each rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Function = Callable[[float], float]
Fit = tuple[list[float], float]


def expansion(f: Function, lo: float, hi: float, degree: int, weight: Function) -> Fit:
    """Minimises max |weight(t) (f(t) - p(t))| over [lo, hi]; p has float coefficients, lowest degree first."""
    nodes = np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
    t = 0.5 * (lo + hi) + 0.5 * (hi - lo) * nodes
    target, w = np.array([f(v) for v in t]), np.array([weight(v) for v in t])
    fixed: list[float] = []
    for first in range(degree + 1):
        rest = target - sum(c * t**i for i, c in enumerate(fixed)) if fixed else target
        basis = np.stack([t**i for i in range(first, degree + 1)], axis=1)
        lawson = np.ones_like(t)
        best, best_error = np.zeros(1), math.inf
        for _ in range(60):
            s = np.sqrt(lawson) * w
            c, *_ = np.linalg.lstsq(basis * s[:, None], rest * s, rcond=None)
            e = np.abs((basis @ c - rest) * w)
            if e.max() < best_error:
                best, best_error = c, e.max()
            lawson *= e / e.max() + 1e-3
            lawson /= lawson.sum()
        fixed.append(float(np.float32(best[0])))
    e = np.abs((sum(c * t**i for i, c in enumerate(fixed)) - target) * w).max()
    return fixed, float(e)


def show(name: str, what: str, fit: Fit) -> None:
    c, e = fit
    print(f"// {name}: {what}; relative error 2^{math.log2(e):.1f}")
    print("{" + ", ".join(f"{float(v).hex()}f" for v in c) + "}")


ln2 = math.log(2)


def series(terms: Callable[[int], float], t: float) -> float:
    """sum of terms(i) t^i, to double accuracy for small t."""
    total, power = 0.0, 1.0
    for i in range(200):
        add = terms(i) * power
        total += add
        power *= t
        if i > 3 and abs(add) < 1e-19 * abs(total):
            break
    return total


# exp(r) = 1 + r + r^2 Q(r)
def q_exp(r: float) -> float:
    return series(lambda i: 1.0 / math.factorial(i + 2) if i < 60 else 0.0, r)


show(
    "exp",
    "Q(r) = (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2",
    expansion(q_exp, -0.3475, 0.3475, 4, lambda r: r * r),
)


# log(1 + f) = f - f^2 / 2 + f^3 P(f)
def p_log(f: float) -> float:
    if abs(f) < 0.05:
        return series(lambda i: (-1.0) ** i / (i + 3), f)
    return (math.log1p(f) - f + 0.5 * f * f) / f**3


show(
    "log",
    "P(f) = (log(1 + f) - f + f^2 / 2) / f^3, 1 + f in [sqrt 1/2, sqrt 2]",
    expansion(p_log, 0.7071 - 1, 1.41422 - 1, 8, lambda f: f**3 / math.log1p(f) if f else 0.0),
)

# log1p(u) = 2 s + s^3 R(s^2), s = u / (2 + u)
show(
    "log1p",
    "R(z) = (log((1 + s) / (1 - s)) - 2 s) / s^3, z = s^2, s <= 1/3",
    expansion(lambda z: series(lambda i: 2.0 / (2 * i + 3), z), 0.0, 0.11112, 5, lambda z: z / 2),
)


# tanh(x) = x + x^3 T(x^2)
def t_tanh(z: float) -> float:
    x = math.sqrt(z)
    if z < 0.003:
        return -1 / 3 + z * (2 / 15 + z * (-17 / 315 + z * (62 / 2835 - z * 1382 / 155925)))
    return (math.tanh(x) - x) / x**3


show(
    "tanh",
    "T(z) = (tanh(x) - x) / x^3, z = x^2, |x| <= 0.65",
    expansion(t_tanh, 0.0, 0.65**2, 5, lambda z: z),
)


# erf(x) = x E(x^2)
def e_erf(z: float) -> float:
    if z < 1e-3:
        return (
            2
            / math.sqrt(math.pi)
            * series(
                lambda i: (-1.0) ** i / (math.factorial(i) * (2 * i + 1)) if i < 60 else 0.0, z
            )
        )
    return math.erf(math.sqrt(z)) / math.sqrt(z)


show(
    "erf",
    "E(z) = erf(x) / x - 1, z = x^2, |x| <= 0.9",
    expansion(lambda z: e_erf(z) - 1, 0.0, 0.81, 7, lambda z: 1.0),
)

# erf(x) = 1 - exp(-q(x)), q around the middle of [0.9, 4]
show(
    "erfc",
    "q(d) = -log(erfc(2.25 + d)), |d| <= 1.75 with 2.25 + d >= 0.9; absolute error weighed by erfc / erf",
    expansion(
        lambda d: -math.log(math.erfc(2.25 + d)),
        0.85 - 2.25,
        4.0 - 2.25,
        8,
        lambda d: math.erfc(2.25 + d) / math.erf(2.25 + d),
    ),
)


# erf(u / sqrt 2) = 1 - exp(-u G(u)) for all of [0, 4 sqrt 2]: absolute error
def g_gelu(u: float) -> float:
    if u < 1e-6:
        return math.sqrt(2 / math.pi)
    return -math.log(math.erfc(u / math.sqrt(2))) / u


show(
    "gelu",
    "G(u) = -log(erfc(u / sqrt 2)) / u, u <= 4 sqrt 2; absolute error of erf",
    expansion(g_gelu, 0.0, 4 * math.sqrt(2), 8, lambda u: u * math.erfc(u / math.sqrt(2))),
)
