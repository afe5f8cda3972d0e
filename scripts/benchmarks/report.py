"""Tables: medians, ratios to each peer, and the floors that they are held to."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field


@dataclass
class Line:
    """One measured figure: all runs, and the floors as ratios to peers that it must reach."""

    name: str
    unit: str
    runs: list[float]
    ratios: dict[str, float] = field(default_factory=dict)
    floors: dict[str, float] = field(default_factory=dict)
    judged: bool = True
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def met(self) -> bool:
        """Whether every floor is reached; a line that is only reported always is."""
        return not self.judged or all(self.ratios.get(name, 0) >= floor for name, floor in self.floors.items())

    def against(self, peers: dict[str, list[float]]) -> Line:
        """Fill in the ratios of this line's median to each peer's."""
        self.ratios = {name: self.median / statistics.median(runs) for name, runs in peers.items() if runs}
        self.floors = {name: floor for name, floor in self.floors.items() if name in self.ratios}
        return self


def show(title: str, facts: dict[str, object], lines: list[Line], *, as_json: bool) -> int:
    """Print the table, or one JSON document; returns the exit code: 0 when every judged floor is reached."""
    if as_json:
        rows = [asdict(line) | {"median": line.median, "met": line.met} for line in lines]
        print(json.dumps({"title": title, "facts": facts, "lines": rows}, indent=2))
    else:
        print(f"\n{title}")
        for name, value in facts.items():
            print(f"  {name}: {value}")
        width = max(len(line.name) for line in lines)
        for line in lines:
            print(_row(line, width))
    return 0 if all(line.met for line in lines) else 1


def _row(line: Line, width: int) -> str:
    spread = f"{min(line.runs):,.0f}-{max(line.runs):,.0f}"
    ratios = ", ".join(f"{ratio:.2f}x {name}{_floor(line, name)}" for name, ratio in line.ratios.items())
    verdict = ("" if line.met else "  NOT MET") if line.floors and line.judged else ""
    figure = f"{line.name:<{width}}  {line.median:>12,.1f} {line.unit}  ({spread})"
    return f"  {figure}  {ratios}{verdict}  {line.note}".rstrip()


def _floor(line: Line, name: str) -> str:
    return f" (floor {line.floors[name]:g})" if name in line.floors else ""
