"""Tables: medians, ratios to each peer, and the floors and ceilings that they are held to."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field

_EXACT_BELOW = 100


@dataclass
class Line:
    """One measured figure: all runs, and what it is held to.

    `floors` and `ceilings` are ratios to peers that must be reached, or not be passed; `least` and `most` are bounds of
    the figure itself, in its own unit.
    """

    name: str
    unit: str
    runs: list[float]
    ratios: dict[str, float] = field(default_factory=dict)
    floors: dict[str, float] = field(default_factory=dict)
    ceilings: dict[str, float] = field(default_factory=dict)
    least: float | None = None
    most: float | None = None
    judged: bool = True
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def met(self) -> bool:
        """Whether every bound is kept; a line that is only reported always is."""
        return not self.judged or (
            all(self.ratios.get(name, 0) >= floor for name, floor in self.floors.items())
            and all(self.ratios.get(name, math.inf) <= ceiling for name, ceiling in self.ceilings.items())
            and (self.least is None or self.median >= self.least)
            and (self.most is None or self.median <= self.most)
        )

    @property
    def bound(self) -> bool:
        """Whether it is held to anything."""
        return self.judged and bool(self.floors or self.ceilings or self.least is not None or self.most is not None)

    def against(self, peers: dict[str, list[float]]) -> Line:
        """Fill in the ratios of this line's median to each peer's."""
        self.ratios = {
            name: self.median / (statistics.median(runs) or math.nan) for name, runs in peers.items() if runs
        }
        self.floors = {name: floor for name, floor in self.floors.items() if name in self.ratios}
        self.ceilings = {name: ceiling for name, ceiling in self.ceilings.items() if name in self.ratios}
        return self


def show(title: str, facts: dict[str, object], lines: list[Line], *, as_json: bool) -> int:
    """Print the table, or one JSON document; returns the exit code: 0 when every judged bound is kept."""
    if as_json:
        rows = [asdict(line) | {"median": line.median, "met": line.met} for line in lines]
        print(json.dumps({"title": title, "facts": facts, "lines": rows}, indent=2))
    else:
        print(f"\n{title}")
        for name, value in facts.items():
            print(f"  {name}: {value}")
        width = max(len(line.name) for line in lines)
        unit = max(len(line.unit) for line in lines)
        for line in lines:
            print(_row(line, width, unit))
    return 0 if all(line.met for line in lines) else 1


def _row(line: Line, width: int, unit: int) -> str:
    digits = 0 if max(line.runs) >= _EXACT_BELOW else 1
    spread = f"{min(line.runs):,.{digits}f}-{max(line.runs):,.{digits}f}"
    ratios = ", ".join(f"{ratio:.2f}x {name}{_bounds(line, name)}" for name, ratio in line.ratios.items())
    if line.least is not None:
        ratios = f"(at least {line.least:,.0f}) {ratios}".rstrip()
    if line.most is not None:
        ratios = f"(at most {line.most:g}) {ratios}".rstrip()
    verdict = ("" if line.met else "  NOT MET") if line.bound else ""
    figure = f"{line.name:<{width}}  {line.median:>12,.1f} {line.unit:<{unit}}  ({spread})"
    return f"  {figure}  {ratios}{verdict}  {line.note}".rstrip()


def _bounds(line: Line, name: str) -> str:
    floor = f" (floor {line.floors[name]:g})" if name in line.floors else ""
    return floor + (f" (at most {line.ceilings[name]:g})" if name in line.ceilings else "")
