"""What producers are told of a bulk: stored, stored in part, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
import pytest

from actors.http_calls.errors import CallRefusedError
from actors.topic_gateway.errors import NOT_TAKEN, PartlyStoredError
from actors.topic_gateway.producing import NotStored, Outcome, Producing, Stored
from actors.topic_gateway.publish import Publish
from actors.wire.http.messages import Request
from config.resources import Topic

REFUSED = CallRefusedError(NOT_TAKEN, "its storage refuses appends")


class Decided:
    """Storage whose outcome is known beforehand."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = outcomes

    async def store(self, *_: object, **__: object) -> Sequence[Outcome]:
        return self._outcomes


async def bulk(*outcomes: Outcome) -> dict[str, object]:
    """The answer to a bulk of three."""
    publish = Publish(cast("Producing", Decided(*outcomes)), 1000)
    request = Request("POST", "/v1/topic/t/records", body=b'{"content":1}\n' * 3)
    response = await publish.records(request, Topic(name="t", app="a"), "a")
    assert isinstance(response.body, bytes)
    answer: dict[str, object] = msgspec.json.decode(response.body)
    return answer


async def test_a_bulk_that_no_partition_takes_is_refused_for_its_reason() -> None:
    """Nothing stored is the partition's own refusal, not a crash."""
    with pytest.raises(CallRefusedError) as caught:
        await bulk(NotStored(range(3), REFUSED))
    assert caught.value is REFUSED


async def test_a_bulk_that_is_stored_in_part_says_which() -> None:
    """The error comes with what is stored, so that only the rest need be sent again."""
    with pytest.raises(PartlyStoredError) as caught:
        await bulk(NotStored([1], REFUSED), Stored([0, 2], 4, 70))
    assert caught.value.error is NOT_TAKEN
    assert caught.value.stored["records"] == 2
    runs = [msgspec.to_builtins(run) for run in caught.value.stored["offsets"]]
    assert [(run["index"], run["partition"], run["offset"], run["count"]) for run in runs] == [
        (0, 4, 70, 1),
        (2, 4, 71, 1),
    ]


async def test_a_bulk_is_answered_by_runs_of_offsets() -> None:
    """Records next to one another in request and partition are one run; duplicates are counted."""
    answer = await bulk(Stored(range(2), 0, 10), Stored([2], 1, 5, duplicate=True))
    assert (answer["records"], answer["duplicates"]) == (3, 1)
    assert answer["offsets"] == [
        {"index": 0, "partition": 0, "offset": 10, "count": 2},
        {"index": 2, "partition": 1, "offset": 5, "count": 1},
    ]
