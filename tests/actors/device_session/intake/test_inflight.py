import math

import pytest

from actors.device_session.intake.inflight import Inflight
from actors.errors import AppendRefusedError
from actors.runtime.reply import Reply


def test_acknowledgements_keep_the_order_of_the_packets() -> None:
    """A read that is stored waits for the reads before it (MQTT-4.6.0-2)."""
    inflight = Inflight()
    first, second = Reply[int](), Reply[int]()
    inflight.add([1, 2], [first], 10, now=0.0)
    inflight.add([3], [second], 5, now=1.0)
    second.set(0)
    assert not inflight.is_ready()
    assert inflight.take() == []
    assert inflight.size == 15
    first.set(0)
    assert inflight.is_ready()
    assert inflight.take() == [1, 2, 3]
    assert inflight.size == 0
    assert len(inflight) == 0


def test_a_read_waits_for_all_of_its_appends() -> None:
    """Several targets: acknowledged after all of them."""
    inflight = Inflight()
    replies = [Reply[int](), Reply[int]()]
    inflight.add([7], replies, 1, now=0.0)
    replies[1].set(0)
    assert not inflight.is_ready()
    replies[0].set(0)
    assert inflight.take() == [7]


def test_a_read_without_appends_waits_only_for_those_before_it() -> None:
    """What is dropped is acknowledged, in its place."""
    inflight = Inflight()
    reply = Reply[int]()
    inflight.add([1], [reply], 1, now=0.0)
    inflight.add([2], [], 1, now=0.0)
    assert inflight.take() == []
    reply.set(0)
    assert inflight.take() == [1, 2]


def test_what_was_stored_before_a_failed_append_is_still_acknowledged() -> None:
    """A failure hides nothing that came before it, and is never passed over."""
    inflight = Inflight()
    good, bad, later = Reply[int](), Reply[int](), Reply[int]()
    inflight.add([1], [good], 1, now=0.0)
    inflight.add([2], [bad], 1, now=0.0)
    inflight.add([3], [later], 1, now=0.0)
    good.set(0)
    later.set(0)
    bad.fail(AppendRefusedError("disk full"))
    assert inflight.take() == [1]
    for _ in range(2):
        assert inflight.is_ready()
        with pytest.raises(AppendRefusedError, match="disk full"):
            inflight.take()


def test_a_failure_is_seen_before_the_other_appends_of_its_read_answer() -> None:
    """A session ends at the first failure, even if another partition never answers."""
    inflight = Inflight()
    bad = Reply[int]()
    inflight.add([1], [Reply[int](), bad], 1, now=0.0)
    bad.fail(AppendRefusedError("disk full"))
    assert inflight.is_ready()
    with pytest.raises(AppendRefusedError):
        inflight.take()


def test_the_oldest_read_says_how_long_the_client_is_held() -> None:
    """Without outstanding reads nobody is held."""
    inflight = Inflight()
    assert inflight.oldest() == math.inf
    reply = Reply[int]()
    inflight.add([1], [reply], 1, now=3.0)
    inflight.add([2], [reply], 1, now=4.0)
    assert inflight.oldest() == 3.0
