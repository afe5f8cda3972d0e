"""One-shot answers, and what becomes of them when nobody asks any more."""

from __future__ import annotations

import pytest

from actors.errors import ActorGone
from actors.runtime.reply import Reply


async def test_what_is_withdrawn_is_not_begun() -> None:
    """An asker that withdraws in time gets its own error, and the actor finds that there is nothing to do."""
    reply: Reply[int] = Reply()
    assert reply.withdraw(ActorGone("patience"))
    assert not reply.take()
    reply.set(1)
    with pytest.raises(ActorGone):
        await reply.wait()


async def test_what_has_begun_cannot_be_withdrawn() -> None:
    """Once the actor has begun, its answer stands, and the asker is told to wait for it."""
    reply: Reply[int] = Reply()
    assert reply.take()
    assert not reply.withdraw(ActorGone("patience"))
    reply.set(1)
    assert await reply.wait() == 1
    assert not reply.withdraw(ActorGone("patience"))
