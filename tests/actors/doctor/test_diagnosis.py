"""The doctor names what was planted, first, and nothing else."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from actors.consumer_group.messages import Expulsion
from actors.doctor.diagnosis import diagnose
from actors.doctor.messages import PolicySnapshot, TaskSnapshot
from tests.actors.doctor.ward import Member, Play, kinds

TASK = TaskSnapshot("t", batch_rows=500, connection="db")


def four(rate: float = 500.0, readers: int = 4, speed: float = 1000.0) -> Play:
    """Four partitions, shared out evenly."""
    shares = [tuple(range(number, 4, readers)) for number in range(readers)]
    members = {f"t-{number}": Member(share, speed) for number, share in enumerate(shares)}
    play = Play([rate] * 4, members, replace(TASK, runners=readers, wanted_runners=readers))
    play.start()
    return play


@pytest.mark.parametrize(("rate", "readers"), [(0.0, 1), (1.0, 1), (200.0, 1), (900.0, 4), (400.0, 2)])
def test_a_healthy_group_has_no_cause(rate: float, readers: int) -> None:
    """Whoever keeps up is healthy, at any rate, and also while it starts."""
    play = four(rate, readers)
    play.rebalances = readers
    for _ in range(40):
        diagnosis = play.run(5.0)
        assert (diagnosis.verdict, kinds(diagnosis)) == ("healthy", [])


def test_records_on_their_way_are_no_lag() -> None:
    """A lag that is always there, but of other records each time, is work in progress."""
    play = Play([100.0], {"t-0": Member((0,))})
    play.start()
    for _ in range(30):
        play._step(5.0)
        play.begins[0] = play.highs[0] - 500
        play.history.add(play.snapshot())
        assert diagnose(play.history).causes == ()


def test_a_burst() -> None:
    """Producers bring five times what they usually do; the usual would be no trouble."""
    play = four(200.0, readers=1)
    play.run(180.0)
    play.rates = [1000.0] * 4
    diagnosis = play.run(30.0)
    assert kinds(diagnosis) == ["burst"]
    assert diagnosis.verdict == "growing"
    assert diagnosis.causes[0].figures["usual_rate"] == pytest.approx(800, rel=0.01)
    assert diagnosis.causes[0].figures["peak_rate"] == pytest.approx(4000, rel=0.01)
    play.rates = [200.0] * 4
    diagnosis = play.run(30.0)
    assert kinds(diagnosis) == ["burst"]
    assert diagnosis.verdict == "draining"
    assert [remedy.kind for remedy in diagnosis.causes[0].remedies] == ["wait"]
    assert diagnosis.causes[0].remedies[0].expected_seconds_to_drain == pytest.approx(diagnosis.drain_seconds, rel=0.2)


def test_slow_consumers() -> None:
    """Three times what one runner can take: the time by step is told, and how many runners would do."""
    play = four(750.0, readers=1)
    diagnosis = play.run(60.0)
    assert kinds(diagnosis) == ["slow_consumers"]
    (cause,) = diagnosis.causes
    assert "write 70%, map 20%, fetch 10%" in cause.evidence
    assert cause.figures["capacity"] == pytest.approx(1000, rel=0.02)
    more, *rest = cause.remedies
    assert (more.kind, more.value, more.harmless) == ("more_runners", 4, True)
    # Four take 4000 a second where 3000 come: what has gathered goes at the difference.
    assert more.expected_seconds_to_drain == pytest.approx(diagnosis.lag / 1000, rel=0.05)
    assert [remedy.kind for remedy in rest] == ["more_partitions", "throttle", "reject", "divert"]
    assert not any(remedy.harmless for remedy in rest)


def test_a_slow_sink_is_named_and_more_runners_are_promised_with_care() -> None:
    """Where nearly all time goes into writing, the connection is told with its time for a row."""
    play = four(750.0, readers=1)
    play.members["t-0"].writing = 0.9
    (cause,) = play.run(60.0).causes
    assert cause.kind == "slow_consumers"
    assert cause.evidence.endswith("It is connection db that is slow: 0.9 ms a row.")
    assert "holds if connection db takes as much more at the same time" in cause.remedies[0].text


def test_what_the_topic_does_already_is_no_remedy() -> None:
    """A policy in force is shown with the diagnosis; of the others each would keep its limit."""
    play = four(750.0, readers=1)
    play.policy = PolicySnapshot("throttle", "{messages: 10, age: 5m}", "throttled", 0.0, reason="group t lags")
    diagnosis = play.run(60.0)
    assert diagnosis.policy is play.policy
    remedies = diagnosis.causes[0].remedies
    assert [one.kind for one in remedies] == ["more_runners", "more_partitions", "reject", "divert"]
    assert "'backlog: {limit: {messages: 10, age: 5m}, action: reject}'" in remedies[2].commands[0]


@pytest.mark.parametrize(
    "present",
    [
        "backlog: {limit: {messages: 7}, action: throttle}\n",
        "backlog:\n  limit:\n    messages: 7\n  action: throttle\n",
        "",
    ],
)
def test_a_command_replaces_a_policy_however_it_is_written(present: str) -> None:
    """On one line, over several, or not there: the manifest that is applied has the new one, and all else as it was."""
    command = four(750.0, readers=1).run(60.0).causes[0].remedies[-1].commands[0]
    before = f"kind: topic\nname: reports\n{present}partitions: 4\ntags:\n  - x\n"
    script = f'penstock() {{ if [ "$1" = get ]; then printf %s "{before}"; else cat; fi; }}\n{command}'
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    kept, _, policy = ended.stdout.partition("backlog: ")
    assert kept == before.replace(present, "")
    assert policy.endswith("action: divert, divert_to: OTHER-TOPIC}\n")


def test_slow_consumers_where_each_partition_has_one() -> None:
    """A reader that needs 10 ms for a record is slow, although no more readers could share its partition."""
    play = Play([300.0], {"t-0": Member((0,), speed=100.0)}, TASK)
    play.start()
    assert kinds(play.run(60.0)) == ["slow_consumers"]


def test_larger_batches_where_transactions_are_full() -> None:
    """A batch over the time of a transaction is to be at least what comes."""
    play = Play([15_000.0], {"t-0": Member((0,), speed=10_000.0)}, replace(TASK, batch_rows=500, most_rows=500))
    play.start()
    diagnosis = play.run(60.0)
    (larger,) = [one for one in diagnosis.causes[0].remedies if one.kind == "larger_batches"]
    assert (larger.value, larger.harmless) == (1000, True)
    assert larger.expected_seconds_to_drain == pytest.approx(diagnosis.lag / 5000, rel=0.05)


def test_too_few_partitions() -> None:
    """Each partition has its reader, a fast one, and more comes than they can take."""
    play = four(30_000.0, readers=4, speed=20_000.0)
    diagnosis = play.run(60.0)
    assert kinds(diagnosis) == ["too_few_partitions"]
    (remedy,) = [one for one in diagnosis.causes[0].remedies if one.kind == "more_partitions"]
    assert "order" in remedy.text
    assert not remedy.harmless


def test_more_members_than_partitions() -> None:
    """Members that have nothing to read are told, and that more of them would not help."""
    play = Play([3000.0], {"t-0": Member((0,)), "t-1": Member(), "t-2": Member()}, replace(TASK, runners=3))
    play.start()
    diagnosis = play.run(60.0)
    assert kinds(diagnosis) == ["more_members_than_partitions"]
    assert diagnosis.causes[0].figures["idle_members"] == 2
    assert "more_runners" not in [remedy.kind for remedy in diagnosis.causes[0].remedies]


def test_a_stuck_member() -> None:
    """It has partitions and does not move; the partitions of others are not late."""
    play = four(100.0, readers=2)
    play.run(60.0)
    play.members["t-1"].stands_since = play.now
    assert kinds(play.run(15.0)) == []
    diagnosis = play.run(15.0)
    assert kinds(diagnosis) == ["stuck_members"]
    (remedy,) = diagnosis.causes[0].remedies
    assert (remedy.kind, remedy.member, remedy.harmless) == ("restart_member", "t-1", True)
    assert diagnosis.causes[0].figures["lag"] == diagnosis.lag


def test_a_member_that_waits_for_its_sink() -> None:
    """A restart would not help: what helps is to look after the sink."""
    play = four(100.0, readers=1)
    play.run(60.0)
    play.members["t-0"].stands_since = play.now
    play.task = replace(TASK, holding="cannot connect to db:5432: refused")
    diagnosis = play.run(15.0)
    assert kinds(diagnosis) == ["stuck_members"]
    assert "refused" in diagnosis.causes[0].evidence
    assert [remedy.kind for remedy in diagnosis.causes[0].remedies] == ["fix_sink"]


def test_a_member_that_waits_for_people() -> None:
    """What holds it is not its sink: nobody is sent there."""
    play = four(100.0, readers=1)
    play.run(60.0)
    play.members["t-0"].stands_since = play.now
    play.task = replace(TASK, holding="00.log is damaged at position 5", held_by_sink=False)
    (cause,) = play.run(15.0).causes
    (remedy,) = cause.remedies
    assert remedy.kind == "lift_hold"
    assert not remedy.harmless
    assert remedy.commands == ("penstock get task t", "penstock topic verify reports")


def test_a_dead_member() -> None:
    """Thrown out and not back: that explains its partitions, and not that the rest is slow."""
    play = four(450.0, readers=3)
    play.run(60.0)
    gone = play.members.pop("t-2")
    play.expelled = (Expulsion("t-2", gone.partitions, 1.0, "nothing was heard of it for 30 s"),)
    diagnosis = play.run(15.0)
    assert kinds(diagnosis) == ["stuck_members"]
    play.members["t-1"].partitions += gone.partitions
    diagnosis = play.run(15.0)
    assert kinds(diagnosis)[0] == "stuck_members"


def test_a_partition_that_was_added_without_a_consumer() -> None:
    """Nobody reads the new partition: that is named, whatever the others do well."""
    play = four(100.0, readers=2)
    play.run(60.0)
    play.rates.append(100.0)
    diagnosis = play.run(20.0)
    assert kinds(diagnosis) == ["unconsumed_partitions"]
    assert "partition 4" in diagnosis.causes[0].evidence
    assert diagnosis.causes[0].figures["partitions"] == 1


def test_a_task_that_is_stopped() -> None:
    """Without members nothing is consumed; the remedy is to start the task."""
    play = Play([100.0] * 2, {}, replace(TASK, state="stopped"))
    play.start()
    diagnosis = play.run(30.0)
    assert kinds(diagnosis) == ["unconsumed_partitions"]
    assert diagnosis.verdict == "growing"
    assert diagnosis.causes[0].remedies[0].commands == ("penstock task start t",)
    play.rates = [0.0] * 2
    assert play.run(60.0).verdict == "stuck"


def test_key_skew() -> None:
    """One partition gets most: its reader cannot keep up, the others could take more."""
    play = four(100.0, readers=4)
    play.rates[2] = 3000.0
    diagnosis = play.run(60.0)
    assert kinds(diagnosis) == ["key_skew"]
    assert diagnosis.causes[0].figures["partition"] == 2
    assert diagnosis.causes[0].figures["share"] == pytest.approx(3000 / 3300, rel=0.01)
    assert diagnosis.causes[0].remedies[0].kind == "random_key_suffix"
    assert "order" in diagnosis.causes[0].remedies[0].text


def test_rebalance_churn() -> None:
    """Members that come and go all the time get nothing done, and are not called slow for it."""
    play = four(900.0, readers=2, speed=300.0)
    play.run(30.0)
    play.rebalances = 25
    diagnosis = play.run(30.0)
    assert kinds(diagnosis) == ["rebalance_churn"]
    assert diagnosis.causes[0].figures["rebalances"] == 25


def test_consumers_over_http_that_confirm_too_little() -> None:
    """Without times by step the rates tell; the remedy is more consumers, none of it the daemon's to do."""
    play = Play([300.0] * 2, {"daemon": Member((0, 1), 100.0)}, None, kind="http")
    play.start()
    diagnosis = play.run(90.0)
    assert kinds(diagnosis) == ["slow_consumers"]
    assert diagnosis.causes[0].remedies[0].kind == "more_consumers"
    assert not any(remedy.harmless for remedy in diagnosis.causes[0].remedies)


def http_group(waiting: int, in_hand: int) -> Play:
    """Nothing comes any more and nothing is confirmed; consumers have some of what waits in hand."""
    play = Play([0.0], {"http": Member((0,), 0.001, in_hand=in_hand)}, None, kind="http")
    play.start()
    play.highs[0] = waiting
    return play


def test_consumers_over_http_that_work_on_all_there_is() -> None:
    """However long they may take: what they have in hand within its time is no lag."""
    assert http_group(3, 3).run(120.0).verdict == "healthy"


def test_consumers_over_http_that_let_others_wait() -> None:
    """What waits behind messages that are worked on for long is late because consumers are slow, and not stuck."""
    diagnosis = http_group(50, 3).run(120.0)
    assert kinds(diagnosis) == ["slow_consumers"]
    assert "3 messages in hand" in diagnosis.causes[0].evidence
    assert diagnosis.causes[0].remedies[0].kind == "more_consumers"


def test_consumers_over_http_that_confirm_nothing_in_time() -> None:
    """Taking messages and never confirming them is no work."""
    play = http_group(50, 0)
    play.members["http"].stands_since = play.now
    diagnosis = play.run(120.0)
    assert kinds(diagnosis) == ["stuck_members"]
    assert "confirmed nothing" in diagnosis.causes[0].evidence


def test_two_causes_the_heavier_first() -> None:
    """What explains most of the lag comes first."""
    play = four(100.0, readers=2)
    play.members["t-1"].stands_since = play.now
    play.rates.append(5000.0)
    diagnosis = play.run(60.0)
    assert kinds(diagnosis) == ["unconsumed_partitions", "stuck_members"]


def test_a_history_is_bounded() -> None:
    """However often and however long it is fed, it keeps a minute of snapshots and ten of trend."""
    play = four(100.0)
    play.run(5000.0, step=0.25)
    assert len(play.history._recent) <= 61
    assert len(play.history._trend) == 120


def test_a_cause_is_told_until_its_lag_is_gone() -> None:
    """Producers are held back by now: what waits is still due to what was, and healthy means nothing is told."""
    play = four(750.0, readers=1)
    before = play.run(60.0)
    play.rates = [0.0] * 4
    play.run(40.0)
    for _ in range(2):
        before = diagnose(play.history, before)
        assert before.verdict == "draining"
        assert kinds(before) == ["slow_consumers"]
        assert before.causes[0].evidence.count("A while ago: ") == 1
    play.run(200.0)
    assert diagnose(play.history, before).causes == ()
