"""Two samples as they are shown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from rich.console import Console

from actors.runtime.mailbox import MailboxStatistics
from daemon.cli.top_page import page
from daemon.top.sample import ActorSample, GroupSample, PartitionSample, Sample, TaskSample
from daemon.top.view import view

MAILBOX = MailboxStatistics(depth=10, capacity=100, high_water=50, messages=2, in_line=1, waited=4.0, taken=7)
PARTITION = ActorSample("reports-0", "running", mailbox=MAILBOX, counts={"records": 100.0}, gauges={})
TASK = TaskSample("every", "sink", "running", "", "database is locked", held_by_sink=True, runners=1)
BEFORE = Sample(10.0, tree=ActorSample("penstock", "running", children=(PARTITION,)))
LATER = replace(PARTITION, restarts=2, mailbox=replace(MAILBOX, waited=7.0), counts={"records": 300.0})
AFTER = replace(BEFORE, at=12.0, tree=replace(BEFORE.tree, children=(LATER,)), tasks=(TASK,))


def test_rates_and_waits_are_over_the_time_between_the_samples() -> None:
    """Counters become rates a second, and the seconds waited become senders that stood in line on average."""
    found = view(BEFORE, AFTER)
    (partition,) = found["actors"]["children"]
    assert found["seconds"] == 2.0
    assert partition["rates"] == {"records": 100.0}
    assert (partition["mailbox"]["waited"], partition["mailbox"]["waiting"]) == (7.0, 1.5)
    assert partition["restarts"] == 2


def test_a_counter_that_began_anew_has_no_negative_rate() -> None:
    """An actor that was restarted in between counts from nothing: its rate is zero, never below."""
    found = view(AFTER, replace(BEFORE, at=14.0))
    (partition,) = found["actors"]["children"]
    assert partition["rates"] == {"records": 0.0}
    assert partition["mailbox"]["waiting"] == 0.0


def test_the_page_says_first_what_is_to_blame() -> None:
    """The line on top names it with its reason; the hop is marked; the tree is indented."""
    console = Console(width=160)
    with console.capture() as captured:
        console.print(page(view(BEFORE, AFTER)))
    text = captured.get()
    assert text.splitlines()[0].startswith("held back by connector sink: database is locked")
    assert any("task every" in line and "=X=>" in line and "100%" in line for line in text.splitlines())
    assert "  reports-0" in text
    assert "100 records/s" in text


def test_a_page_for_a_small_terminal_keeps_what_is_to_blame() -> None:
    """However many hops there are, the page fits, and the one to blame stays."""
    many = tuple(PartitionSample("t", n, alive=True, fault="", sync=0.0) for n in range(50))
    crowded = view(replace(BEFORE, partitions=many), replace(AFTER, partitions=many))
    console = Console(width=160)
    with console.capture() as captured:
        console.print(page(crowded, height=20))
    lines = captured.get().splitlines()
    assert len(lines) <= 20
    assert any("=X=>" in line for line in lines)


def partitions(count: int, **more: Any) -> tuple[PartitionSample, ...]:
    return tuple(
        PartitionSample("t", n, alive=True, fault="", sync=0.0, brought={"mqtt": 1}, **more) for n in range(count)
    )


def shown(answer: dict[str, Any], width: int, height: int | None = None) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(page(answer, width=width, height=height))
    return captured.get().splitlines()


def test_partitions_that_fare_alike_share_a_line() -> None:
    """Fifty partitions are a line for each kind of hop; one that fares otherwise has its own."""
    many = list(partitions(50))
    many[7] = replace(many[7], fault="no space left")
    lines = shown(view(BEFORE, replace(AFTER, partitions=tuple(many), tasks=())), 160)
    hops = lines[: lines.index("")]
    assert len(hops) < 10
    assert any("mqtt sessions" in line and "partition t-[0-6,8-49]" in line for line in hops)
    assert any("partition t-7" in line and "no space left" in line and "=X=>" in line for line in hops)


def test_eighty_columns_are_enough() -> None:
    """No line is wider, names and shares are whole, and what explains is what is cut."""
    held = partitions(4, standing={"mqtt": 1}, gate="throttled", gate_reason="group every lags 9000 messages of 8000")
    every = GroupSample("every", "t", "task", lag=9000, consume_rate=10.0, members=1)
    lines = shown(view(BEFORE, replace(AFTER, partitions=held, groups=(every,))), 80, 24)
    assert max(map(len, lines)) <= 80
    assert any(re.match(r"mqtt sessions +~> partition t-\[0-3\] +100% throttled: group", line) for line in lines)
    assert any(re.match(r"task every +X> connector sink +100% database is locked", line) for line in lines)
    assert lines[0].startswith("held back by connector sink; mqtt sessions wait: database is locked")


def test_a_small_tree_keeps_who_matters_below_its_supervisors() -> None:
    """What failed comes before what has work, and that before the idle; no line stands without those above it."""
    idle = [ActorSample(f"idle-{n}", "running") for n in range(100)]
    failed = ActorSample("broken", "failed", "no such table", restarts=3)
    stage = ActorSample("tasks", "running", children=(*idle[:50], failed))
    chain = ActorSample("chain", "running", children=(ActorSample("groups", "running", children=tuple(idle)), stage))
    tree = replace(BEFORE.tree, children=(chain,))
    lines = shown(view(replace(BEFORE, tree=tree), replace(AFTER, tree=tree)), 80, 14)
    actors = lines[lines.index("") + 2 :]
    assert [line.split()[0] for line in actors[:2]] == ["penstock", "chain"]
    where = next(i for i, line in enumerate(actors) if line.startswith("      broken"))
    assert "failed" in actors[where]
    assert "no such table" in actors[where]
    assert any(line.startswith("    tasks") for line in actors[:where])
