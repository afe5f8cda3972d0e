"""Two samples as they are shown."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from actors.runtime.mailbox import MailboxStatistics
from daemon.cli.top_page import page
from daemon.top.sample import ActorSample, PartitionSample, Sample, TaskSample
from daemon.top.view import view

MAILBOX = MailboxStatistics(depth=10, capacity=100, high_water=50, messages=2, in_line=1, waited=4.0, taken=7)
PARTITION = ActorSample("reports-0", "running", mailbox=MAILBOX, counts={"records": 100.0}, gauges={})
TASK = TaskSample("every", "sink", "running", "", "database is locked", held_by_sink=True, runners=1)
BEFORE = Sample(10.0, tree=ActorSample("penstock", "running", children=(PARTITION,)))
LATER = replace(PARTITION, restarts=2, mailbox=replace(MAILBOX, waited=7.0), counts={"records": 300.0})
AFTER = replace(BEFORE, at=12.0, tree=replace(BEFORE.tree, children=(LATER,)), tasks=(TASK,))


def test_rates_and_waits_are_over_the_time_between_the_samples() -> None:
    """Counters become rates a second, and the seconds waited become senders that stood in line on average."""
    shown = view(BEFORE, AFTER)
    (partition,) = shown["actors"]["children"]
    assert shown["seconds"] == 2.0
    assert partition["rates"] == {"records": 100.0}
    assert (partition["mailbox"]["waited"], partition["mailbox"]["waiting"]) == (7.0, 1.5)
    assert partition["restarts"] == 2


def test_a_counter_that_began_anew_has_no_negative_rate() -> None:
    """An actor that was restarted in between counts from nothing: its rate is zero, never below."""
    shown = view(AFTER, replace(BEFORE, at=14.0))
    (partition,) = shown["actors"]["children"]
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
