"""The laws of the mailbox."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.errors import ActorGone
from actors.runtime.actor import Actor
from actors.runtime.mailbox import Mailbox
from actors.runtime.reply import Reply


async def test_messages_come_out_in_order(autojump_clock: object) -> None:
    """First in, first out, whether they lay in the box or stood in line."""
    mailbox: Mailbox[int] = Mailbox("box", 2)
    for number in range(5):
        mailbox.submit(number)
    assert [await mailbox.get() for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_capacity_is_by_weight(autojump_clock: object) -> None:
    """What does not fit by weight is not taken; a message heavier than all is taken when the box is empty."""
    mailbox: Mailbox[bytes] = Mailbox("box", 10, len)
    assert mailbox.offer(b"x" * 100)
    assert not mailbox.offer(b"x")
    await mailbox.get()
    assert mailbox.offer(b"x" * 6)
    assert not mailbox.offer(b"x" * 6)
    assert mailbox.offer(b"x" * 4)
    assert mailbox.statistics().high_water == 100


async def test_a_sender_waits_for_room_and_its_wait_is_measured(autojump_clock: object) -> None:
    """`put` stands in line until there is room; the seconds it stood are counted."""
    mailbox: Mailbox[str] = Mailbox("box", 1)
    mailbox.submit("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, "second")
        await trio.sleep(3)
        assert mailbox.statistics().waited == pytest.approx(3)
        assert await mailbox.get_all() == ["first"]
        assert await mailbox.get_all() == ["second"]
    assert mailbox.statistics().waited == pytest.approx(3)


async def test_waits_are_told_by_sort(autojump_clock: object) -> None:
    """Of each sort of message: the seconds it stood in line, and how many do, or lie on hold."""
    mailbox: Mailbox[str] = Mailbox("box", 1, sort=str.lower)
    for message in "aAb":
        mailbox.submit(message)
    await trio.sleep(3)
    found = mailbox.statistics()
    assert found.waited_by == {"a": pytest.approx(3), "b": pytest.approx(3)}
    assert found.kept_by == {"a": 1, "b": 1}
    mailbox.hold(lambda message: message != "x")
    assert mailbox.statistics().kept_by == {"a": 2, "b": 1}
    mailbox.hold(None)
    assert [await mailbox.get() for _ in range(3)] == ["a", "A", "b"]
    found = mailbox.statistics()
    assert found.waited_by == {"a": pytest.approx(3), "b": pytest.approx(3)}
    assert (found.waited, found.kept_by) == (pytest.approx(6), {})


async def test_nobody_overtakes_the_line(autojump_clock: object) -> None:
    """While somebody stands in line an offer is refused, even if it would fit."""
    mailbox: Mailbox[bytes] = Mailbox("box", 10, len)
    mailbox.submit(b"x" * 8)
    mailbox.submit(b"y" * 8)
    assert not mailbox.offer(b"z")


async def test_a_cancelled_sender_leaves_the_line(autojump_clock: object) -> None:
    """A `put` that is cancelled leaves no message behind and lets the next one in."""
    mailbox: Mailbox[bytes] = Mailbox("box", 10, len)
    mailbox.submit(b"x" * 8)
    with trio.move_on_after(1):
        await mailbox.put(b"y" * 8)
    mailbox.submit(b"z")
    assert await mailbox.get_all() == [b"x" * 8, b"z"]


async def test_a_sealed_mailbox_is_emptied_first(autojump_clock: object) -> None:
    """After `seal` nothing new is taken, what is there still comes out, and then EndOfChannel."""
    mailbox: Mailbox[int] = Mailbox("box", 1)
    mailbox.submit(1)
    mailbox.submit(2)
    mailbox.seal()
    with pytest.raises(ActorGone):
        mailbox.offer(3)
    assert await mailbox.get_all() == [1]
    assert await mailbox.get_all() == [2]
    with pytest.raises(trio.EndOfChannel):
        await mailbox.get()


async def test_sealing_wakes_a_waiting_owner(autojump_clock: object) -> None:
    """An owner that waits in `get` hears of the seal."""
    mailbox: Mailbox[int] = Mailbox("box", 1)
    async with trio.open_nursery() as nursery:

        async def owner() -> None:
            with pytest.raises(trio.EndOfChannel):
                await mailbox.get()

        nursery.start_soon(owner)
        await wait_all_tasks_blocked()
        mailbox.seal()


class Crashing(Actor[Reply[int]]):
    """An actor that dies of its first message."""

    async def serve(self, started: object) -> None:  # noqa: ARG002 - it never comes so far
        await self.mailbox.get()
        raise ValueError("crash")


class Question:
    """A message with a reply slot."""

    def __init__(self) -> None:
        self.reply: Reply[int] = Reply()


async def test_nobody_hangs_when_an_actor_ends(autojump_clock: object) -> None:
    """When an actor ends, open replies and waiting senders get ActorGone."""
    mailbox: Mailbox[Question] = Mailbox("crashing", 2)
    questions = [Question() for _ in range(4)]
    for question in questions[:3]:
        mailbox.submit(question)
    outcomes: list[str] = []

    async def sender() -> None:
        with pytest.raises(ActorGone):
            await mailbox.put(questions[3])
        outcomes.append("sender")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        await wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="crash"):
            await Crashing("crashing", mailbox).run(lambda: None)  # type: ignore[arg-type]
    for question in questions[1:3]:
        with pytest.raises(ActorGone):
            await question.reply.wait()
    assert outcomes == ["sender"]
    with pytest.raises(ActorGone):
        mailbox.offer(Question())


async def test_a_reply_notifies_once(autojump_clock: object) -> None:
    """The first answer counts and calls back; later ones are ignored."""
    calls: list[str] = []
    reply: Reply[int] = Reply(lambda: calls.append("answered"))
    reply.set(1)
    reply.set(2)
    reply.fail(ValueError("late"))
    assert calls == ["answered"]
    assert await reply.wait() == 1


async def test_what_is_on_hold_waits_and_the_rest_passes_by(autojump_clock: object) -> None:
    """Held messages keep their order and their weight; others reach the owner at once, out of box and line alike."""
    mailbox: Mailbox[str] = Mailbox("box", 2)
    for message in ("a", "B", "c", "D"):
        mailbox.submit(message)
    mailbox.hold(str.islower)
    assert await mailbox.get_all() == ["B", "D"]
    mailbox.submit("E")
    assert await mailbox.get() == "E"
    assert mailbox.statistics().depth == 2
    assert not mailbox.offer("f")
    with trio.move_on_after(60) as scope:
        await mailbox.get_all()
    assert scope.cancelled_caught
    mailbox.hold(None)
    assert await mailbox.get_all() == ["a", "c"]
    assert mailbox.statistics().depth == 0
    assert mailbox.statistics().taken == 5


async def test_a_hold_lets_in_whoever_waited_behind_it(autojump_clock: object) -> None:
    """A sender of what is not held, that stood in line behind what is, need not wait for the end of the hold."""
    mailbox: Mailbox[str] = Mailbox("box", 1)
    mailbox.submit("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, "B")
        await wait_all_tasks_blocked()
        mailbox.hold(str.islower)
        assert await mailbox.get_all() == ["B"]


async def test_the_end_of_a_hold_wakes_the_owner(autojump_clock: object) -> None:
    """The owner that waits takes what was held, when the hold ends or when the box is sealed."""
    for end in (lambda box: box.hold(None), lambda box: box.seal()):
        mailbox: Mailbox[str] = Mailbox("box", 10)
        mailbox.hold(str.islower)
        mailbox.submit("a")
        taken: list[str] = []

        async def take(mailbox: Mailbox[str] = mailbox, taken: list[str] = taken) -> None:
            taken.extend(await mailbox.get_all())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            assert taken == []
            end(mailbox)
        assert taken == ["a"]
