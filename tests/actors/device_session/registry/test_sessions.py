"""The registry of sessions: who gets a client id that many ask for."""

from __future__ import annotations

import trio
import trio.testing

from actors.device_session.counters import Counters
from actors.device_session.registry.sessions import TAKEOVER_SECONDS, Account, ClientKey, Sessions

KEY = ClientKey(Account("device", "sensor/lot-1"), "same")


class FakeSession:
    """Joins, stays until it is closed, leaves; a slow one ends only when `may_end` is set."""

    def __init__(self, sessions: Sessions, *, slow: bool = False) -> None:
        self.joined: bool | None = None
        self.reasons: list[str] = []
        self.waits = 0
        self._sessions = sessions
        self.may_end = trio.Event()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        if not slow:
            self.may_end.set()

    async def run(self) -> None:
        with self._scope:
            self.joined = await self._sessions.join(self, KEY)
            if self.joined:
                await trio.sleep_forever()
        await self.may_end.wait()
        self._sessions.leave(self, KEY)
        self._ended.set()

    def close(self, reason: str, code: int = 0) -> None:  # noqa: ARG002 - as sessions take it
        self.reasons.append(reason)
        self._scope.cancel()

    def drain(self) -> None:
        self.close("drain")

    def check(self, now: float) -> None:
        pass

    def recheck(self) -> None:
        pass

    async def wait_ended(self) -> None:
        self.waits += 1
        await self._ended.wait()


async def test_the_newest_of_many_gets_the_client_id() -> None:
    """MQTT-3.1.4-2: of all that ask for it meanwhile only the newest waits for the old session's end."""
    sessions = Sessions(Counters())
    many = [FakeSession(sessions, slow=number == 0) for number in range(200)]
    async with trio.open_nursery() as nursery:
        for session in many:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
        many[0].may_end.set()
        await trio.testing.wait_all_tasks_blocked()
        assert sessions.statistics().connected == 1
        assert [session.joined for session in many] == [True, *[None] * 198, True]
        assert all(len(session.reasons) == 1 for session in many[:-1])
        # One wait for each that came: not one for each pair of them.
        assert sum(session.waits for session in many) <= len(many)
        many[-1].close("end")
    assert sessions.statistics().accounts == 0


async def test_all_at_once_leave_the_last(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever is overtaken while it is about to enter does not enter, and nobody is refused for it."""
    sessions = Sessions(Counters())
    many = [FakeSession(sessions) for _ in range(50)]
    async with trio.open_nursery() as nursery:
        for session in many:
            nursery.start_soon(session.run)
        await trio.sleep(TAKEOVER_SECONDS / 2)
        assert sessions.statistics().connected == 1
        (last,) = [session for session in many if not session.reasons]
        assert last.joined
        assert not any(session.joined is False for session in many)
        last.close("end")
    assert sessions.statistics().accounts == 0


async def test_a_session_that_does_not_end_keeps_its_client_id(autojump_clock: trio.testing.MockClock) -> None:
    """A takeover waits no longer than its deadline, and the next one may try again."""
    sessions = Sessions(Counters())
    stuck, impatient, later = FakeSession(sessions, slow=True), FakeSession(sessions), FakeSession(sessions)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stuck.run)
        await trio.sleep(1)
        nursery.start_soon(impatient.run)
        await trio.sleep(TAKEOVER_SECONDS + 1)
        assert impatient.joined is False
        nursery.start_soon(later.run)
        await trio.sleep(1)
        assert later.joined is None
        stuck.may_end.set()
        await trio.sleep(1)
        assert later.joined
        later.close("end")
