"""Groups through the control API, around a fake engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from actors.consumer_group.messages import Expulsion, GroupStatistics, MemberStatus, PartitionProgress
from daemon.catalog.errors import NotFoundError
from daemon.control.app import create_app
from daemon.control.context import Control
from daemon.control.groups import groups_family
from daemon.groups import Moved, Since, Target
from tests.daemon.control.conftest import Api

GROUP = GroupStatistics(
    group="every",
    topic="reports",
    generation=3,
    members=(MemberStatus("every-0", (0,), 1.0, 2.0, {"write": 3.5}),),
    partitions=(
        PartitionProgress(0, 5, 15, 10, "every-0", 1000, 30.0, 2.0, 1.0, 0.5, 0.25),
        PartitionProgress(1, None, 7, 7, "", None, None, 1.0, 0.0),
    ),
    rebalances=2,
    expelled=(Expulsion("every-1", (1,), 12.0, "nothing was heard of it for 30 s"),),
)


class FakeGroups:
    """One group, which is reset and forgotten as one says."""

    def __init__(self) -> None:
        self.resets: list[tuple[str, Target, int | None, bool]] = []
        self.deleted: list[str] = []

    def groups(self) -> Sequence[GroupStatistics]:
        return [GROUP, dataclasses.replace(GROUP, group="other", topic="elsewhere")]

    def group(self, name: str) -> GroupStatistics:
        if name != GROUP.group:
            raise NotFoundError(f"there is no group {name}")
        return GROUP

    async def delete_group(self, name: str) -> None:
        self.group(name)
        self.deleted.append(name)

    async def reset_group(
        self, name: str, to: Target, *, partition: int | None = None, force: bool = False
    ) -> Sequence[Moved]:
        self.group(name)
        self.resets.append((name, to, partition, force))
        return [Moved(0, None, 5)]


@pytest.fixture
def engine() -> FakeGroups:
    return FakeGroups()


@pytest.fixture
def api(control: Control, engine: FakeGroups) -> Api:
    return Api(create_app(dataclasses.replace(control, families=(groups_family(engine),))))


async def test_a_group_is_shown_with_its_sums(api: Api) -> None:
    """Lag, rates and members; what is not known of one partition is not known of the whole."""
    status, body, _ = await api.call("GET", "/api/v1/groups/every")
    assert status == 200
    assert (body["lag"], body["lag_bytes"], body["lag_seconds"]) == (17, None, 30.0)
    assert (body["produce_rate"], body["consume_rate"]) == (3.0, 1.0)
    assert (body["growing"], body["drain_seconds"], body["rebalances"]) == (True, None, 2)
    assert body["members"][0]["seconds"] == {"write": 3.5}
    assert body["expelled"][0]["member"] == "every-1"
    assert body["partitions"][1]["committed"] is None


async def test_groups_are_listed_by_topic_and_page(api: Api) -> None:
    """As every other list."""
    _, body, _ = await api.call("GET", "/api/v1/groups?topic=elsewhere")
    assert [one["name"] for one in body["items"]] == ["other"]
    _, body, _ = await api.call("GET", "/api/v1/groups?page=2&size=1")
    assert ([one["name"] for one in body["items"]], body["total"]) == (["other"], 2)
    assert (await api.call("GET", "/api/v1/groups?tag=x"))[0] == 400


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"to": "earliest"}, ("every", "earliest", None, False)),
        ({"to": "latest", "force": True}, ("every", "latest", None, True)),
        ({"to": 12, "partition": 1}, ("every", 12, 1, False)),
        ({"to": "2026-01-31T12:00:00Z"}, ("every", Since(1769860800000), None, False)),
        ({"to": "2026-01-31T13:00:00+01:00"}, ("every", Since(1769860800000), None, False)),
    ],
)
async def test_a_reset_says_where_to(api: Api, engine: FakeGroups, body: dict[str, Any], expected: Any) -> None:
    """A word, an offset or a time; for one partition or all."""
    status, answer, _ = await api.call("POST", "/api/v1/groups/every/reset", json=body)
    assert (status, answer) == (200, {"group": "every", "partitions": [{"partition": 0, "before": None, "after": 5}]})
    assert engine.resets == [expected]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.to"),
        ({"to": None}, "$.to"),
        ({"to": True}, "$.to"),
        ({"to": -1}, "$.to"),
        ({"to": 1.5}, "$.to"),
        ({"to": "yesterday"}, "$.to"),
        ({"to": "12"}, "$.to"),
        ({"to": "earliest", "partition": "0"}, "$.partition"),
        ({"to": "earliest", "partition": True}, "$.partition"),
        ({"to": "earliest", "force": "yes"}, "$.force"),
        ({"to": "earliest", "offset": 1}, "$.offset"),
    ],
)
async def test_a_reset_that_makes_no_sense_is_refused(
    api: Api, engine: FakeGroups, body: dict[str, Any], path: str
) -> None:
    """400 names the field, and nothing is reset."""
    status, answer, _ = await api.call("POST", "/api/v1/groups/every/reset", json=body)
    assert (status, answer["details"][0]["path"], engine.resets) == (400, path, [])


async def test_a_group_is_forgotten_by_name(api: Api, engine: FakeGroups) -> None:
    """204 where it was, 404 where it was not."""
    assert (await api.call("DELETE", "/api/v1/groups/every"))[0] == 204
    assert (await api.call("DELETE", "/api/v1/groups/nobody"))[0] == 404
    assert engine.deleted == ["every"]


async def test_the_description_tells_of_groups(api: Api) -> None:
    """OpenAPI has every operation."""
    _, body, _ = await api.call("GET", "/api/v1/openapi.json")
    assert set(body["paths"]["/api/v1/groups/{name}"]) == {"get", "delete"}
    assert "post" in body["paths"]["/api/v1/groups/{name}/reset"]
