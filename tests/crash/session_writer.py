"""Writes to a session store in a folder until it is killed, and says on stdout what is answered.

Each line is a sequence (of both sessions) that is on disk: enqueued, or done after it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from actors.device_session.delivery.message import Message
from actors.device_session.journal import Change, Done, Enqueue, SaveSession
from actors.device_session.registry.sessions import Account, ClientKey
from actors.runtime.reply import Reply
from actors.session_store.actor import SessionStoreActor
from actors.session_store.reference import SessionStoreReference
from daemon.store.sessions import SessionFile, StoreLimits
from tests.actors.session_store.stores import NoCheckpoints

SESSIONS = ("s1", "s2")
LIMITS = StoreLimits(reserve_bytes=0, reserve_percent=0.0)
# Every so many, those before are acknowledged.
DONE_EVERY = 10


async def main(folder: Path) -> None:
    """Write until killed, several writes under way."""
    file = await SessionFile.open(folder, LIMITS)
    journal = SessionStoreReference()
    actor = SessionStoreActor(
        file,
        journal,
        restore=trio.lowlevel.checkpoint,
        checkpoints=NoCheckpoints(),
        mailbox_bytes=1_000_000,
        checkpoint_interval=5.0,
    )
    async with trio.open_nursery() as nursery:
        started = trio.Event()
        nursery.start_soon(actor.run, started.set)
        await started.wait()
        keys = [SaveSession(name, ClientKey(Account("device", "p/d"), name), 4, 0xFFFF_FFFF, None) for name in SESSIONS]
        journal.write(keys, None)
        found = await file.load_sessions("", 10)
        await _write(journal, max((saved.queue.last for saved in found), default=0))


async def _write(journal: SessionStoreReference, last: int) -> None:
    window: list[tuple[str, Reply[None]]] = []
    while True:
        last += 1
        message = Message("t", b"%d" % last, 1, 1_000)
        changes: list[Change] = [
            Enqueue(name, last, 1, retain=False, subscription_ids=(), message=message) for name in SESSIONS
        ]
        said = f"enqueued {last}"
        if last % DONE_EVERY == 0:
            changes += [Done(name, tuple(range(last - DONE_EVERY, last))) for name in SESSIONS]
            said = f"done {last}"
        reply: Reply[None] = Reply()
        journal.write(changes, reply)
        window.append((said, reply))
        if len(window) >= 5:
            said, reply = window.pop(0)
            await reply.wait()
            sys.stdout.write(f"{said}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
