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
