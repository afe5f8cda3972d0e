"""The page of `penstock top`: what is to blame, the hops, the tree. Pure: an answer of the control API in, rich out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_BAR = 10
_HELD = 0.5


def page(answer: Mapping[str, Any], height: int | None = None) -> RenderableType:
    """The whole page; with a `height` in lines it is cut to it, the least important lines first."""
    hops = list(answer["hops"])
    rows = list(_flattened(answer["actors"]))
    if height is not None:
        # Two headers, the line on top and a blank one between the tables.
        room = max(height - 5, 4)
        hops = _most_important(hops, room // 2)
        rows = rows[: max(room - len(hops), 1)]
    return Group(_headline(answer["blocking"]), _hops(hops), Text(), _tree(rows))


def _headline(blocking: list[Mapping[str, Any]]) -> Text:
    if not blocking:
        return Text("nothing holds anything back", style="green")
    worst = blocking[0]
    more = f"  (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
    return Text(f"held back by {worst['receiver']}: {worst['reason']}{more}", style="bold red", no_wrap=True)


def _most_important(hops: list[Mapping[str, Any]], room: int) -> list[Mapping[str, Any]]:
    """As many as fit, in the order of the flow; those that are held back the most stay."""
    ranked = sorted(range(len(hops)), key=lambda i: (not hops[i]["blocking"], -hops[i]["held"], i))
    return [hops[i] for i in sorted(ranked[:room])]


def _hops(hops: list[Mapping[str, Any]]) -> Table:
    table = _table("sender", "", "receiver", "held", "", "reason")
    for hop in hops:
        style = "bold red" if hop["blocking"] else "yellow" if hop["held"] >= _HELD else ""
        arrow = "=X=>" if hop["blocking"] else "---->" if hop["held"] < _HELD else "-~->"
        cells = (hop["sender"], arrow, hop["receiver"], f"{hop['held']:.0%}", _bar(hop["held"]), hop["reason"])
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _tree(rows: list[tuple[int, Mapping[str, Any]]]) -> Table:
    table = _table("actor", "state", "restarts", "mailbox", "waited", "in line", "rates", "now", "reason")
    for depth, one in rows:
        mailbox = one["mailbox"]
        cells = (
            "  " * depth + one["name"],
            one["state"],
            str(one["restarts"] or ""),
            f"{mailbox['depth']}/{mailbox['capacity']}" if mailbox else "",
            f"{mailbox['waited']:.1f} s" if mailbox and mailbox["waited"] else "",
            f"{mailbox['waiting']:.1f}" if mailbox and mailbox["waiting"] else "",
            ", ".join(f"{rate:.0f} {name}/s" for name, rate in one["rates"].items() if rate),
            ", ".join(f"{name} {value:g}" for name, value in one["gauges"].items() if value),
            one["reason"],
        )
        style = {"failed": "red", "restarting": "yellow", "stopping": "yellow", "stopped": "dim"}.get(one["state"], "")
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title.upper(), no_wrap=True, overflow="ellipsis")
    return table


def _flattened(actor: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield depth, actor
    for child in actor["children"]:
        yield from _flattened(child, depth + 1)


def _bar(share: float) -> str:
    filled = round(share * _BAR)
    return "#" * filled + "." * (_BAR - filled)
