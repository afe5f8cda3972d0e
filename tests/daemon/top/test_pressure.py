"""Who holds back whom, out of two samples."""

from __future__ import annotations

from dataclasses import replace

from daemon.top.pressure import hops
from daemon.top.sample import ConsumersSample, GroupSample, PartitionSample, RouteSample, Sample, TaskSample

STEPS = ("fetch", "decode", "map", "write", "commit")
PARTITION = PartitionSample("reports", 0, alive=True, fault="", sync=0.0, brought={"mqtt": 9, "http": 9})
GROUP = GroupSample("every", "reports", "task", lag=0, consume_rate=0.0, members=1)
TASK = TaskSample("every", "sink", "running", "", "", False, 1, dict.fromkeys(STEPS, 0.0))  # noqa: FBT003 - a field
ROUTE = RouteSample("parked", "sink", running=1, waiting=0, capacity=4, waited=0.0)
QUIET = Sample(0.0, connections=10, partitions=(PARTITION,), groups=(GROUP,), tasks=(TASK,), routes=(ROUTE,))


def blamed(after: Sample, before: Sample = QUIET) -> list[tuple[str, str]]:
    return [(hop.sender, hop.receiver) for hop in hops(before, replace(after, at=before.at + 1)) if hop.blocking]


def held(before: Sample, after: Sample) -> list[tuple[str, str, str]]:
    """Hops that are held back, with the reason."""
    found = hops(before, replace(after, at=before.at + 1))
    return [(hop.sender, hop.receiver, hop.reason) for hop in found if hop.held >= 0.5]


def busy(lag: int, rate: float, **seconds: float) -> tuple[Sample, Sample]:
    """Before and after a second in which a task spent so long in its steps."""
    group = replace(GROUP, lag=lag, consume_rate=rate)
    before = replace(QUIET, groups=(group,))
    return before, replace(before, tasks=(replace(TASK, seconds=TASK.seconds | seconds),))


def test_a_quiet_instance_has_every_hop_and_none_is_blamed() -> None:
    """From the devices' sockets to the database each hop is there, held back by nothing."""
    found = hops(QUIET, replace(QUIET, at=1.0))
    assert [(hop.sender, hop.receiver) for hop in found] == [
        ("device sockets", "mqtt sessions"),
        ("mqtt sessions", "partition reports-0"),
        ("http producers", "partition reports-0"),
        ("partition reports-0", "disk"),
        ("partition reports-0", "group every"),
        ("group every", "task every"),
        ("task every", "connector sink"),
        ("callers", "route parked"),
        ("route parked", "connector sink"),
    ]
    assert not any(hop.held or hop.blocking or hop.reason for hop in found)


def test_a_task_that_holds_for_its_sink_blames_the_connector() -> None:
    """The sink is to blame and nothing before it, and its own words are the reason."""
    after = replace(QUIET, tasks=(replace(TASK, holding="database is locked", held_by_sink=True),))
    assert blamed(after) == [("task every", "connector sink")]
    assert [hop.reason for hop in hops(QUIET, replace(after, at=1.0)) if hop.blocking] == ["database is locked"]


def test_a_task_that_holds_for_something_else_is_to_blame_itself() -> None:
    """Damage in the topic is not the sink's fault."""
    assert blamed(replace(QUIET, tasks=(replace(TASK, holding="damaged at 7"),))) == [("group every", "task every")]


def test_a_sink_that_is_slow_is_told_from_a_task_that_is() -> None:
    """Where a group is behind, the step that takes the time says who is slow; writing is the sink's."""
    assert blamed(*reversed(busy(10_000, 50.0, write=0.9, map=0.1))) == [("task every", "connector sink")]
    assert blamed(*reversed(busy(10_000, 50.0, write=0.2, map=0.75))) == [("group every", "task every")]


def test_a_task_that_keeps_up_is_not_blamed_however_busy() -> None:
    """What waits less than a second at the present pace is no backlog."""
    assert blamed(*reversed(busy(40, 50.0, write=0.95))) == []


def test_nobody_who_reads_is_told_as_such() -> None:
    """A task that is stopped, failed or without its partitions holds back what waits for it."""
    before, after = busy(1000, 0.0)
    for one in (replace(TASK, state="stopped"), replace(TASK, state="failed", reason="no such column")):
        assert blamed(replace(after, tasks=(one,)), before) == [("group every", "task every")]
    unread = replace(after, groups=(replace(after.groups[0], unread=(0,)),))
    assert blamed(unread, before) == [("group every", "task every")]


def test_pressure_goes_all_the_way_to_the_sockets_and_the_database_is_blamed() -> None:
    """Where a policy throttles because a sink is locked, every hop is held, and only the last one is to blame."""
    lagging = (replace(GROUP, lag=5000),)
    before = replace(QUIET, groups=lagging)
    after = replace(
        before,
        held=3,
        partitions=(replace(PARTITION, standing={"mqtt": 3}, gate="throttled", gate_reason="every is over 1000"),),
        tasks=(replace(TASK, holding="database is locked", held_by_sink=True),),
    )
    held = [(hop.sender, hop.receiver) for hop in hops(before, replace(after, at=1.0)) if hop.held >= 0.5]
    assert held == [
        ("device sockets", "mqtt sessions"),
        ("mqtt sessions", "partition reports-0"),
        ("partition reports-0", "group every"),
        ("group every", "task every"),
        ("task every", "connector sink"),
    ]
    assert blamed(after, before) == [("task every", "connector sink")]


def test_a_slow_disk_is_blamed_only_where_somebody_stands_in_line() -> None:
    """A disk that syncs without pause is at work; it holds back only whom it lets wait."""
    syncing = replace(PARTITION, sync=0.95)
    assert blamed(replace(QUIET, partitions=(syncing,))) == []
    assert blamed(replace(QUIET, partitions=(replace(syncing, waited={"mqtt": 4.0}),))) == [
        ("partition reports-0", "disk")
    ]


def test_a_full_disk_is_blamed_for_what_it_refuses() -> None:
    """A partition that refuses appends says why, and its disk is to blame."""
    assert blamed(replace(QUIET, partitions=(replace(PARTITION, fault="no space"),))) == [
        ("partition reports-0", "disk")
    ]


def test_of_several_groups_the_slowest_is_what_a_gate_waits_for() -> None:
    """A gate's pressure leads to the group for which most waits."""
    groups = (replace(GROUP, name="other", kind="http", lag=10), replace(GROUP, lag=900))
    after = replace(QUIET, groups=groups, partitions=(replace(PARTITION, gate="rejecting", gate_reason="over"),))
    held = {
        hop.receiver for hop in hops(after, replace(after, at=1.0)) if hop.sender == "partition reports-0" and hop.held
    }
    assert held == {"group every"}


def test_it_is_told_which_producers_a_partition_holds_back() -> None:
    """Who stands in line is held; a producer of another kind whose appends get through is not."""
    waiting = replace(PARTITION, waited={"mqtt": 0.1, "http": 2.0})
    after = replace(QUIET, at=1.0, partitions=(waiting,))
    assert held(QUIET, after) == [("http producers", "partition reports-0", "2.0 senders stand in line")]


def test_a_gate_holds_back_those_who_stand_before_it() -> None:
    """Throttled, those with appends at the gate; rejecting, those who have been refused; and nobody else."""
    throttled = replace(PARTITION, gate="throttled", gate_reason="over", standing={"http": 2})
    after = replace(QUIET, at=1.0, partitions=(throttled,))
    assert held(QUIET, after) == [("http producers", "partition reports-0", "throttled: over")]
    rejecting = replace(PARTITION, gate="rejecting", gate_reason="over", refused={"mqtt": 40})
    after = replace(QUIET, at=1.0, partitions=(rejecting,))
    assert held(QUIET, after) == [("mqtt sessions", "partition reports-0", "rejecting: over")]


def test_a_divert_holds_nobody_back_and_is_told_all_the_same() -> None:
    """Records go elsewhere meanwhile: the hop says so, without being held."""
    diverted = replace(PARTITION, gate="diverted", gate_reason="over")
    found = hops(QUIET, replace(QUIET, at=1.0, partitions=(diverted,)))
    assert {hop.reason for hop in found if hop.receiver == "partition reports-0"} == {"diverted: over"}
    assert not any(hop.held for hop in found)


def test_a_partition_that_nobody_has_written_to_yet_shows_when_it_is_down() -> None:
    """Without a sender known by name there is still an edge into it, for what is wrong there."""
    fresh = replace(PARTITION, brought={})
    after = replace(QUIET, at=1.0, partitions=(fresh,))
    assert ("producers", "partition reports-0") in [(hop.sender, hop.receiver) for hop in hops(QUIET, after)]
    after = replace(after, partitions=(replace(fresh, alive=False),))
    assert held(QUIET, after) == [("producers", "partition reports-0", "the partition does not run")]


def test_the_daemon_itself_is_a_sender_like_others() -> None:
    """What comes home, dead letters and replays are told apart from producers."""
    brought = {"homecoming": 1, "dead_letters": 1, "replay": 1}
    after = replace(QUIET, at=1.0, partitions=(replace(PARTITION, brought=brought),))
    senders = [hop.sender for hop in hops(QUIET, after) if hop.receiver == "partition reports-0"]
    assert senders == ["dead letters", "homecomings", "replays"]


def test_http_consumers_that_fall_behind_are_blamed() -> None:
    """A group of HTTP consumers has nobody behind it but its own: they are slow, or away, or the group holds."""
    behind = replace(GROUP, kind="http", lag=500, consumers=ConsumersSample(asking=0, in_hand=7))
    quiet = replace(GROUP, name="other", kind="http", consumers=ConsumersSample(asking=1, in_hand=0))
    before = replace(QUIET, groups=(behind, quiet), tasks=())
    assert blamed(before, before) == [("group every", "consumers of every")]
    assert held(before, before)[-1][2] == "500 messages wait, 0 a second are read; 7 are in hand and not confirmed"
    away = replace(before, groups=(replace(behind, consumers=ConsumersSample(0, 0)), quiet))
    assert held(before, away)[-1][2] == "500 messages wait, and nobody asks for them"
    unused = replace(before, groups=(replace(behind, consumers=None),))
    assert held(before, unused)[-1][2] == "500 messages wait, and nobody asks for them"
    holding = replace(before, groups=(replace(behind, consumers=ConsumersSample(1, 0, "damaged at 7")), quiet))
    assert held(before, holding)[-1][1:] == ("consumers of every", "damaged at 7")


def test_a_route_whose_database_is_slow_blames_the_database() -> None:
    """Calls that stand in line while every place waits for the connection; without one the route itself is slow."""
    full = replace(QUIET, routes=(replace(ROUTE, running=4, waiting=9, waited=9.0),))
    assert blamed(replace(full, routes=(replace(full.routes[0], waited=18.0),)), full) == [
        ("route parked", "connector sink")
    ]
    alone = replace(full, routes=(replace(full.routes[0], connection=None),))
    assert blamed(alone, alone) == [("callers", "route parked")]
