"""Numbers as people read them: grouped by a thin space, shortened on axes, with their decimal sign."""

from __future__ import annotations

NARROW_SPACE = "\u202f"


def grouped(number: int) -> str:
    """``grouped(141882)`` is ``141 882``, with narrow no-break spaces."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def decimal(number: float, digits: int, language: str = "en") -> str:
    """A number with a fixed count of decimals: ``1.90``, in Portuguese ``1,90``."""
    text = f"{number:.{digits}f}"
    return text.replace(".", ",") if language.startswith("pt") else text


def times(ratio: float, language: str = "en") -> str:
    """A ratio to native: ``1.90×``; coarser as it grows (``12.4×``, ``1 250×``)."""
    if ratio >= 100:
        return f"{grouped(round(ratio))}×"
    return f"{decimal(ratio, 2 if ratio < 10 else 1, language)}×"


def compact(number: float, language: str = "en") -> str:
    """A number for an axis: ``40 k``, ``1.5 M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            value = number / size
            digits = 0 if abs(value - round(value)) < 0.05 else 1
            return f"{decimal(value, digits, language)} {unit}"
    return decimal(number, 0 if number == round(number) else 1, language)


def percent(share: float, language: str = "en", digits: int = 1) -> str:
    """A share as ``91.6 %``."""
    return f"{decimal(share * 100, digits, language)} %"


def ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round values from ``low`` to ``high``: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or count < 1:
        return [low]
    rough = span / count
    power = 1.0
    while power * 10 <= rough:
        power *= 10
    while power > rough:
        power /= 10
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = -(-low // step) * step
    return [first + index * step for index in range(int((high - first) / step + 1e-9) + 1)]
