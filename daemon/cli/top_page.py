"""The page of `penstock top`: what is to blame, the hops, the tree. Pure: an answer of the control API in, rich out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_BAR = 10
_HELD = 0.5
# Narrower terminals do without the bar, and are told of a state only where it is not the usual one.
_WIDE = 120
_NAME = 28
_EXPLAINING = frozenset({"rates", "now", "reason"})
# What is counted in messages rarely gets there; bytes are shown in thousands from here on.
_LARGE = 10_000
_PARTITION = re.compile(r"partition (.+)-(\d+)")
# Those that bring records or calls: who of them waits is what people ask first.
_PRODUCERS = ("device sockets", "mqtt sessions", "http producers", "producers", "callers")
_THOUSANDS = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))
_STYLES = {"failed": "red", "restarting": "yellow", "stopping": "yellow", "stopped": "dim", "held": "yellow"}


def page(answer: Mapping[str, Any], *, width: int = 200, height: int | None = None) -> RenderableType:
    """The whole page; with a `height` in lines it is cut to it, the least important lines first."""
    hops = list(_merged(answer["hops"]))
    rows = list(_flattened(answer["actors"]))
    if height is not None:
        # Two headers, the line on top and a blank one between the tables.
        room = max(height - 5, 4)
        hops = _most_important(hops, max(room // 2, room - len(rows)))
        rows = _busiest(rows, max(room - len(hops), 1))
    wide = width >= _WIDE
    tables = (_hops(hops, width, wide=wide), Text(), _tree(rows, width, wide=wide))
    return Group(_headline(answer), *tables)


def _headline(answer: Mapping[str, Any]) -> Text:
    blocking: Sequence[Mapping[str, Any]] = answer["blocking"]
    if not blocking:
        return Text("nothing holds anything back", style="green")
    worst = blocking[0]
    more = f" (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
    held = {hop["sender"] for hop in answer["hops"] if hop["held"] >= _HELD}
    waiting = " and ".join(name for name in _PRODUCERS if name in held)
    whom = f"; {waiting} wait" if waiting else ""
    text = f"held back by {worst['receiver']}{more}{whom}: {worst['reason']}"
    return Text(text, style="bold red", no_wrap=True, overflow="ellipsis")


# --- hops ------------------------------------------------------------------------------------------------------------


def _merged(hops: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Hops from or to partitions of one topic that fare alike as one, where the first of them was."""
    alike: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for hop in hops:
        sender, receiver = _topic(hop["sender"]), _topic(hop["receiver"])
        alike.setdefault((sender, receiver, hop["blocking"], hop["held"] >= _HELD, hop["reason"]), []).append(hop)
    for some in alike.values():
        ends = {end: _together([hop[end] for hop in some]) for end in ("sender", "receiver")}
        yield dict(some[0]) | ends | {"held": max(hop["held"] for hop in some)}


def _topic(name: str) -> str:
    found = _PARTITION.fullmatch(name)
    return f"partition {found[1]}" if found else name


def _together(names: Sequence[str]) -> str:
    """`partition reports-[0-3,7]` for several partitions."""
    found = [_PARTITION.fullmatch(name) for name in names]
    numbers = sorted({int(one[2]) for one in found if one is not None})
    first = found[0]
    if first is None or len(numbers) == 1:
        return names[0]
    return f"partition {first[1]}-[{','.join(_ranges(numbers))}]"


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    first = last = numbers[0]
    for number in (*numbers[1:], None):
        if number == last + 1:
            last = number
            continue
        yield str(first) if first == last else f"{first}-{last}"
        if number is not None:
            first = last = number


def _most_important(hops: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """As many as fit, in the order of the flow; those that are held back the most stay."""
    ranked = sorted(range(len(hops)), key=lambda i: (not hops[i]["blocking"], -hops[i]["held"], i))
    return [hops[i] for i in sorted(ranked[:room])]


def _hops(hops: list[dict[str, Any]], width: int, *, wide: bool) -> Table:
    rows = []
    for hop in hops:
        free, held, blocking = ("--->", "-~->", "=X=>") if wide else ("->", "~>", "X>")
        arrow = blocking if hop["blocking"] else held if hop["held"] >= _HELD else free
        bar = [_bar(hop["held"])] if wide else []
        rows.append((hop["sender"], arrow, hop["receiver"], f"{hop['held']:.0%}", *bar, hop["reason"]))
    styles = ["bold red" if hop["blocking"] else "yellow" if hop["held"] >= _HELD else "" for hop in hops]
    return _table(("sender", "", "receiver", "held", *([""] if wide else []), "reason"), rows, styles, width)


def _bar(share: float) -> str:
    filled = round(share * _BAR)
    return "#" * filled + "." * (_BAR - filled)


# --- the tree --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """An actor where it stands in the tree; `parent` is the index of its supervisor's row, -1 for the root."""

    depth: int
    parent: int
    actor: Mapping[str, Any]

    @property
    def importance(self) -> tuple[bool, bool, bool, bool]:
        """What is wrong comes before what waits, what waits before what works, and that before what is idle."""
        one, mailbox = self.actor, self.actor["mailbox"] or {"depth": 0, "in_line": 0}
        wrong = one["state"] != "running" or bool(one["reason"] or one["restarts"])
        waits = bool(mailbox["in_line"] or one["gauges"].get("lag"))
        return wrong, waits, bool(mailbox["depth"]) or any(one["rates"].values()), any(one["gauges"].values())


def _flattened(root: Mapping[str, Any]) -> list[_Row]:
    rows: list[_Row] = []

    def add(actor: Mapping[str, Any], depth: int, parent: int) -> None:
        rows.append(_Row(depth, parent, actor))
        index = len(rows) - 1
        for child in actor["children"]:
            add(child, depth + 1, index)

    add(root, 0, -1)
    return rows


def _busiest(rows: list[_Row], room: int) -> list[_Row]:
    """As many as fit, each below its supervisors; those that matter most stay."""
    if len(rows) <= room:
        return rows
    # Equal ones in the order of the tree, from the end: sessions and listeners are where things come in.
    ranked = sorted(range(len(rows)), key=lambda i: rows[i].importance, reverse=True)
    kept: set[int] = set()
    for index in ranked:
        line = {index, *_supervisors(rows, index)} - kept
        if len(kept) + len(line) <= room:
            kept |= line
    return [rows[index] for index in sorted(kept)]


def _supervisors(rows: list[_Row], index: int) -> Iterator[int]:
    while (index := rows[index].parent) >= 0:
        yield index


def _tree(rows: Sequence[_Row], width: int, *, wide: bool) -> Table:
    """A column that would be empty is left out."""
    titles = ("actor", "state", "restarts", "mailbox", "waited", "in line", "rates", "now", "reason")
    cells = [_cells(row, wide=wide) for row in rows]
    used = [number for number, _ in enumerate(titles) if number == 0 or any(row[number] for row in cells)]
    styles = [_STYLES.get(row.actor["state"], "") for row in rows]
    shown = [[row[number] for number in used] for row in cells]
    return _table([titles[number] for number in used], shown, styles, width)


def _cells(row: _Row, *, wide: bool) -> tuple[str, ...]:
    one, mailbox = row.actor, row.actor["mailbox"]
    return (
        "  " * row.depth + one["name"],
        one["state"] if wide or one["state"] != "running" else "",
        str(one["restarts"] or ""),
        f"{_amount(mailbox['depth'])}/{_amount(mailbox['capacity'])}" if mailbox else "",
        f"{mailbox['waited']:.0f} s" if mailbox and mailbox["waited"] >= 1 else "",
        f"{mailbox['waiting']:.1f}" if mailbox and mailbox["waiting"] else "",
        ", ".join(f"{rate:.0f} {name}/s" for name, rate in one["rates"].items() if rate),
        ", ".join(f"{name} {value:g}" for name, value in one["gauges"].items() if value and name != "capacity"),
        one["reason"],
    )


def _amount(value: int) -> str:
    if value < _LARGE:
        return str(value)
    size, unit = next((size, unit) for size, unit in _THOUSANDS if value >= size)
    return f"{value / size:.0f}{unit}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str], width: int) -> Table:
    """As wide as it needs; where that is more than there is, what explains gives way to what names and measures."""
    natural = [max(map(len, (title, *column))) for title, column in zip(titles, zip(*rows, strict=True), strict=True)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for title, size in zip(titles, _widths(titles, natural, width), strict=True):
        table.add_column(title.upper(), no_wrap=True, overflow="ellipsis", width=size)
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*map(Text, row), style=style)
    return table


def _widths(titles: Sequence[str], natural: Sequence[int], width: int) -> Iterator[int]:
    if sum(natural) + len(natural) <= width:
        yield from natural
        return
    sizes = [size if title in _EXPLAINING else min(size, _NAME) for title, size in zip(titles, natural, strict=True)]
    left = width - len(sizes) - sum(size for title, size in zip(titles, sizes, strict=True) if title not in _EXPLAINING)
    explaining = sum(title in _EXPLAINING for title in titles)
    for title, size in zip(titles, sizes, strict=True):
        if title not in _EXPLAINING:
            yield size
            continue
        share = max(min(size, left // explaining), 1)
        yield share
        left, explaining = left - share, explaining - 1
