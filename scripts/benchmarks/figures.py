"""A benchmark in parts: each measures once a run, and makes lines of all runs in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from scripts.benchmarks.report import Line


class Figures(dict[str, list[float]]):
    """What was measured, by name, run by run."""

    def add(self, name: str, figure: float) -> None:
        """One figure of one run."""
        self.setdefault(name, []).append(figure)


Load = Callable[[float], float]
"""Runs for so many seconds, and tells a rate."""

_TURN_SECONDS = 1.0


class Part(NamedTuple):
    """`measure` adds the figures of one run with loads of so many seconds; `lines` judges all of them."""

    measure: Callable[[float, Figures], None]
    lines: Callable[[Figures], list[Line]]


def in_turn(loads: Mapping[str, Load], seconds: float, figures: Figures) -> None:
    """Add the rate of each load, in turn, second by second, so that what disturbs the machine disturbs all."""
    rounds = max(1, round(seconds / _TURN_SECONDS))
    for _ in range(rounds):
        for name, load in loads.items():
            figures.add(name, load(seconds / rounds))


def run(parts: list[Part], seconds: float, runs: int) -> list[Line]:
    """Measure all parts, so many times in turn."""
    figures = Figures()
    for _ in range(runs):
        for part in parts:
            part.measure(seconds, figures)
    return [line for part in parts for line in part.lines(figures)]
