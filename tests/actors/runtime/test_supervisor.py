"""The laws of supervision, in virtual time."""

from collections.abc import Callable

import pytest
import trio

from actors.errors import ActorGone, ConfigurationError
from actors.runtime.backoff import Backoff
from actors.runtime.child import ChildSpec, ChildState, Restart, Strategy
from actors.runtime.intensity import Intensity
from actors.runtime.supervisor import Supervisor, SupervisorFailedError

STEADY = Backoff(initial=1.0, jitter=0.0, maximum=60.0)


class Worker:
    """A child whose life is told by a script: how each of its lives ends."""

    def __init__(self, name: str, journal: list[str], lives: list[BaseException | None], drain: float = 0.0) -> None:
        self.name = name
        self.journal = journal
        self.fails_with = lives.pop(0) if lives else None
        self.drain = drain
        self.asked = trio.Event()
        self.crash = trio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        if isinstance(self.fails_with, ConfigurationError):
            raise self.fails_with
        self.journal.append(f"+{self.name}")
        started()
        try:
            if self.fails_with is not None:
                await trio.sleep(1)
                raise self.fails_with
            await self.asked.wait()
            await trio.sleep(self.drain)
        except trio.Cancelled:
            self.journal.append(f"x{self.name}")
            raise
        finally:
            self.journal.append(f"-{self.name}")

    def stop(self) -> None:
        self.asked.set()


def spec(
    name: str, journal: list[str], *lives: BaseException | None, drain: float = 0.0, **options: object
) -> ChildSpec:
    script = list(lives)
    return ChildSpec(name, lambda: Worker(name, journal, script, drain), **options)  # type: ignore[arg-type]


async def run_for(supervisor: Supervisor, seconds: float) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(seconds)
        supervisor.stop()


async def test_starts_in_order_and_stops_in_reverse(autojump_clock: object) -> None:
    """Children start in the order of their specs and stop in reverse, each after the next one has gone."""
    journal: list[str] = []
    await run_for(Supervisor("root", [spec(name, journal) for name in "abc"]), 1)
    assert journal == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_one_for_one_restarts_the_failed_child_only(autojump_clock: object) -> None:
    """With one_for_one only the child that failed is started again, after its back-off."""
    journal: list[str] = []
    specs = [spec("a", journal), spec("b", journal, ValueError("no")), spec("c", journal)]
    await run_for(Supervisor("root", specs, backoff=STEADY), 5)
    assert journal == ["+a", "+b", "+c", "-b", "+b", "-c", "-b", "-a"]


async def test_rest_for_one_restarts_those_behind_it(autojump_clock: object) -> None:
    """With rest_for_one those started after the failed child are drained in reverse and started again in order."""
    journal: list[str] = []
    specs = [spec("a", journal), spec("b", journal, ValueError("no")), spec("c", journal)]
    await run_for(Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE, backoff=STEADY), 5)
    assert journal == ["+a", "+b", "+c", "-b", "-c", "+b", "+c", "-c", "-b", "-a"]


async def test_one_for_all_restarts_everybody(autojump_clock: object) -> None:
    """With one_for_all every child is drained in reverse and started again in order."""
    journal: list[str] = []
    specs = [spec("a", journal), spec("b", journal, ValueError("no")), spec("c", journal)]
    await run_for(Supervisor("root", specs, strategy=Strategy.ONE_FOR_ALL, backoff=STEADY), 5)
    assert journal == ["+a", "+b", "+c", "-b", "-c", "-a", "+a", "+b", "+c", "-c", "-b", "-a"]


async def test_escalates_past_its_intensity(autojump_clock: object) -> None:
    """A child that fails more often than the intensity allows takes its supervisor with it, with its reason."""
    journal: list[str] = []
    lives = [ValueError("no") for _ in range(9)]
    supervisor = Supervisor("root", [spec("a", journal), spec("b", journal, *lives)], intensity=Intensity(2, 60))
    with pytest.raises(SupervisorFailedError, match="root: b failed: ValueError: no"):
        await supervisor.run(lambda: None)
    assert journal.count("+b") == 3
    assert journal[-1] == "-a"


async def test_failures_spread_over_time_do_not_escalate(autojump_clock: object) -> None:
    """The intensity is a sliding window: failures further apart than it never add up."""
    journal: list[str] = []
    lives = [ValueError("no") for _ in range(9)]
    supervisor = Supervisor("root", [spec("a", journal, *lives)], intensity=Intensity(2, 2.5), backoff=STEADY)
    await run_for(supervisor, 1000)
    assert journal.count("+a") == 10


async def test_a_resource_is_parked_and_never_escalates(autojump_clock: object) -> None:
    """A resource's child that fails past its intensity is shown as failed, tried again ever more seldom, alone."""
    journal: list[str] = []
    lives = [ValueError("poison") for _ in range(1000)]
    supervisor = Supervisor("root", [spec("a", journal), spec("b", journal, *lives, resource=True)], backoff=STEADY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(3600)
        status = supervisor.children()[1]
        assert (status.state, status.reason) == (ChildState.FAILED, "ValueError: poison")
        assert 50 < journal.count("+b") < 70
        assert "-a" not in journal
        supervisor.stop()


async def test_a_parked_resource_recovers(autojump_clock: object) -> None:
    """A parked child that lives again is running again, and its reason is gone."""
    journal: list[str] = []
    lives = [ValueError("poison") for _ in range(8)]
    supervisor = Supervisor("root", [spec("b", journal, *lives, resource=True)], backoff=STEADY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(3600)
        status = supervisor.children()[0]
        assert (status.state, status.reason, status.restarts) == (ChildState.RUNNING, "", 8)
        supervisor.stop()


async def test_a_child_that_does_not_drain_is_cancelled(autojump_clock: object) -> None:
    """Past its deadline a child is cancelled, and the stop goes on."""
    journal: list[str] = []
    start = trio.current_time()
    await run_for(Supervisor("root", [spec("a", journal, drain=100.0, shutdown=3.0)]), 1)
    assert journal == ["+a", "xa", "-a"]
    assert trio.current_time() - start == pytest.approx(4, abs=0.1)


async def test_a_failed_start_fails_the_supervisor_and_drains_what_stood(autojump_clock: object) -> None:
    """A child that cannot start fails the start at once, with its own reason; those before it are drained."""
    journal: list[str] = []
    specs = [spec("a", journal), spec("b", journal, ConfigurationError("port 1883 is in use"))]
    with pytest.raises(SupervisorFailedError, match="port 1883 is in use") as caught:
        await Supervisor("root", specs).run(lambda: None)
    assert isinstance(caught.value.reason, ConfigurationError)
    assert journal == ["+a", "-a"]


async def test_restart_kinds(autojump_clock: object) -> None:
    """Temporary children are never restarted, transient ones only after an error."""
    journal: list[str] = []
    specs = [
        spec("t", journal, ValueError("no"), restart=Restart.TEMPORARY),
        spec("s", journal, ValueError("no"), restart=Restart.TRANSIENT),
    ]
    await run_for(Supervisor("root", specs, backoff=STEADY), 10)
    assert (journal.count("+t"), journal.count("+s")) == (1, 2)


async def test_children_come_and_go_while_running(autojump_clock: object) -> None:
    """`add` waits until the child is up, `remove` until it has drained; a removed child is not restarted."""
    journal: list[str] = []
    supervisor = Supervisor("root", backoff=STEADY)
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_started, supervisor)
        await supervisor.add(spec("a", journal))
        assert journal == ["+a"]
        await supervisor.add(spec("b", journal, ValueError("no"), resource=True))
        await trio.sleep(1.5)
        await supervisor.remove("b")
        await supervisor.remove("a")
        await trio.sleep(100)
        assert journal == ["+a", "+b", "-b", "-a"]
        assert supervisor.children() == []
        supervisor.stop()


async def _run_started(supervisor: Supervisor, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    await supervisor.run(task_status.started)


async def test_cancellation_is_never_swallowed(autojump_clock: object) -> None:
    """A cancelled supervisor ends with its children and lets the cancellation through."""
    journal: list[str] = []
    with trio.move_on_after(2) as scope:
        await Supervisor("root", [spec("a", journal)]).run(lambda: None)
    assert scope.cancelled_caught
    assert journal == ["+a", "xa", "-a"]


async def test_a_nested_supervisor_escalates_to_its_parent(autojump_clock: object) -> None:
    """A supervisor that gives up is its parent's failed child, and is restarted whole."""
    journal: list[str] = []
    lives = [ValueError("no") for _ in range(3)]
    inner = ChildSpec(
        "inner",
        lambda: Supervisor("inner", [spec("a", journal, *lives)], intensity=Intensity(1, 60), backoff=STEADY),
    )
    lives_spec = Supervisor("root", [inner], backoff=STEADY)
    await run_for(lives_spec, 60)
    assert "+a" in journal
    assert journal[-1] == "-a"


class Mute:
    """A child that is never up, until it is asked to end."""

    def __init__(self) -> None:
        self.asked = trio.Event()

    async def run(self, _started: Callable[[], None]) -> None:
        await self.asked.wait()

    def stop(self) -> None:
        self.asked.set()


class Brief:
    """A child that is up, and ends at once without an error."""

    async def run(self, started: Callable[[], None]) -> None:
        started()

    def stop(self) -> None:
        pass


async def test_a_stop_during_the_start_is_heard_at_once(autojump_clock: object) -> None:
    """A supervisor that is asked to stop while it starts its children starts no more of them, and drains."""
    journal: list[str] = []
    supervisor = Supervisor("root", [spec("a", journal), ChildSpec("mute", Mute), spec("c", journal)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: journal.append("started"))
        await trio.sleep(1)
        supervisor.stop()
    assert journal == ["+a", "-a"]
    assert trio.current_time() < 2


async def test_a_child_that_ends_without_an_error_has_failed_to_run_on(autojump_clock: object) -> None:
    """A permanent child that just ends is restarted, says why, and is parked or escalates like any other failure."""
    supervisor = Supervisor("root", [ChildSpec("brief", Brief, resource=True)], backoff=STEADY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(1000)
        status = supervisor.children()[0]
        assert (status.state, status.reason) == (ChildState.FAILED, "it ended although it should run on")
        supervisor.stop()
    with pytest.raises(SupervisorFailedError, match="ended although"):
        await Supervisor("root", [ChildSpec("brief", Brief)]).run(lambda: None)


async def test_add_while_stopping_is_refused_and_never_hangs(autojump_clock: object) -> None:
    """Whoever adds a child to a supervisor that stops, or has ended, is told so; nothing is left behind."""
    journal: list[str] = []
    supervisor = Supervisor("root", [spec("a", journal, drain=3.0)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(1)
        supervisor.stop()
        await trio.sleep(1)
        with pytest.raises(ActorGone):
            await supervisor.add(spec("b", journal))
    with pytest.raises(ActorGone):
        await supervisor.add(spec("b", journal))
    assert journal == ["+a", "-a"]
    assert [child.name for child in supervisor.children()] == ["a"]


async def test_an_add_that_a_stop_overtakes_ends(autojump_clock: object) -> None:
    """A child that was still coming up when the stop came does not keep its asker waiting."""
    supervisor = Supervisor("root")
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_started, supervisor)
        nursery.start_soon(supervisor.add, ChildSpec("mute", Mute))
        await trio.sleep(1)
        supervisor.stop()
    assert supervisor.status("mute").state is ChildState.STOPPED  # type: ignore[union-attr]


async def test_a_parked_child_is_removed_at_once_and_stays_away(autojump_clock: object) -> None:
    """Removing a child that waits for its next try takes no time, and the try never comes."""
    journal: list[str] = []
    lives = [ValueError("poison") for _ in range(1000)]
    supervisor = Supervisor("root", [spec("b", journal, *lives, resource=True)], backoff=STEADY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(600.5)
        before, count = trio.current_time(), journal.count("+b")
        await supervisor.remove("b")
        assert trio.current_time() == before
        await trio.sleep(600)
        assert journal.count("+b") == count
        supervisor.stop()


async def test_removing_in_the_moment_of_a_restart_leaves_nothing_running(autojump_clock: object) -> None:
    """Whatever the moment of a removal, also between a launch and its first step, no life of the child goes on."""
    for moment in range(12):
        journal: list[str] = []
        supervisor = Supervisor("root", [spec("b", journal, ValueError("no"))], backoff=STEADY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.run, lambda: None)
            await trio.sleep(2)
            for _ in range(moment):
                await trio.lowlevel.checkpoint()
            await supervisor.remove("b")
            assert journal.count("+b") == journal.count("-b")
            await trio.sleep(100)
            assert journal.count("+b") == journal.count("-b")
            supervisor.stop()


async def test_a_removal_that_was_given_up_does_not_block_the_name(autojump_clock: object) -> None:
    """After a removal was cancelled half way the next child of that name starts, once the old one has gone."""
    journal: list[str] = []
    supervisor = Supervisor("root", [spec("a", journal, drain=4.0)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(1)
        with trio.move_on_after(1):
            await supervisor.remove("a")
        await supervisor.add(spec("a", journal))
        assert journal == ["+a", "-a", "+a"]
        supervisor.stop()


async def test_those_behind_one_that_does_not_come_back_wait_for_it(autojump_clock: object) -> None:
    """With rest_for_one nobody is started on top of a child that failed again when it was restarted."""
    journal: list[str] = []
    lives = [ValueError("no"), ConfigurationError("not yet"), ConfigurationError("not yet")]
    specs = [spec("a", journal, *lives), spec("b", journal)]
    await run_for(Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE, backoff=STEADY), 20)
    assert journal == ["+a", "+b", "-a", "-b", "+a", "+b", "-b", "-a"]


async def test_a_stop_during_a_restart_is_heard(autojump_clock: object) -> None:
    """A supervisor that is asked to stop while it restarts its children gives the restart up."""
    journal: list[str] = []
    specs = [spec("a", journal, ValueError("no")), spec("b", journal)]
    slow = Backoff(initial=50.0, jitter=0.0)
    supervisor = Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE, backoff=slow)
    await run_for(supervisor, 5)
    assert trio.current_time() < 10
    assert journal == ["+a", "+b", "-a", "-b"]


async def test_a_child_that_drains_is_shown_as_stopping(autojump_clock: object) -> None:
    """From the moment it is asked to end until it has ended, a child is shown as stopping."""
    supervisor = Supervisor("root", [spec("a", [], drain=3.0)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run, lambda: None)
        await trio.sleep(1)
        supervisor.stop()
        await trio.sleep(1)
        assert supervisor.children()[0].state is ChildState.STOPPING
    assert supervisor.children()[0].state is ChildState.STOPPED
