"""Consumer groups: `/groups`, `/groups/{name}`, `/groups/{name}/reset`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from quart import Blueprint, Response, request

from actors.consumer_group.messages import GroupStatistics
from config.moments import parse_moment
from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError, answer
from daemon.groups import Moved, Since, Target


class GroupEngine(Protocol):
    """What the API asks of groups; each method raises PenstockError with a text for a person."""

    def groups(self) -> Sequence[GroupStatistics]:
        """Every group as it stands, by name."""

    def group(self, name: str) -> GroupStatistics:
        """One group as it stands."""

    async def delete_group(self, name: str) -> None:
        """Forget a group of HTTP consumers."""

    async def reset_group(
        self, name: str, to: Target, *, partition: int | None = None, force: bool = False
    ) -> Sequence[Moved]:
        """Have a group read on from somewhere else; all of it is done, or nothing."""


def groups_family(engine: GroupEngine) -> Family:
    """Look at groups, reset them, forget those of HTTP consumers."""
    return Family(
        partial(_blueprint, engine),
        (
            Operation(
                "GET", "/api/v1/groups", "Groups: members, lag, rates, when the lag is gone", ("topic", "page", "size")
            ),
            Operation("GET", "/api/v1/groups/{name}", "One group"),
            Operation("DELETE", "/api/v1/groups/{name}", "Forget a group of HTTP consumers"),
            Operation(
                "POST",
                "/api/v1/groups/{name}/reset",
                "Read on from `to`: earliest, latest, an offset, a time; refused while members are live",
            ),
        ),
    )


def _blueprint(engine: GroupEngine) -> Blueprint:
    blueprint = Blueprint("groups", __name__)

    @blueprint.get("/groups")
    async def list_groups() -> Response:
        requests.only(("topic", "page", "size"))
        page, topic = requests.page(), request.args.get("topic")
        found = [one for one in engine.groups() if topic is None or one.topic == topic]
        items = [group_json(one) for one in found[page.start : page.start + page.size]]
        return answer({"items": items, "page": page.number, "size": page.size, "total": len(found)})

    @blueprint.get("/groups/<name>")
    async def get_group(name: str) -> Response:
        requests.only(())
        return answer(group_json(engine.group(name)))

    @blueprint.delete("/groups/<name>")
    async def delete_group(name: str) -> Response:
        requests.only(())
        await engine.delete_group(name)
        return Response(b"", HTTPStatus.NO_CONTENT)

    @blueprint.post("/groups/<name>/reset")
    async def reset_group(name: str) -> Response:
        requests.only(())
        body = await requests.json_body()
        moved = await engine.reset_group(name, _target(body), partition=_partition(body), force=_force(body))
        return answer({"group": name, "partitions": [one._asdict() for one in moved]})

    return blueprint


def group_json(group: GroupStatistics) -> dict[str, Any]:
    """A group with the sums of its partitions; lag in bytes and seconds is null where it is not known (yet)."""
    partitions = group.partitions
    sizes = [one.lag_bytes for one in partitions]
    return {
        "name": group.group,
        "topic": group.topic,
        "kind": group.kind,
        "generation": group.generation,
        "rebalances": group.rebalances,
        "refused_commits": group.refused_commits,
        "lag": group.lag,
        "lag_bytes": None if None in sizes else sum(size for size in sizes if size is not None),
        "lag_seconds": max((one.lag_seconds for one in partitions if one.lag_seconds is not None), default=None),
        "produce_rate": sum(one.produce_rate for one in partitions),
        "consume_rate": sum(one.consume_rate for one in partitions),
        "produce_rate_minute": sum(one.produce_rate_minute for one in partitions),
        "consume_rate_minute": sum(one.consume_rate_minute for one in partitions),
        "drain_seconds": group.drain_seconds,
        "growing": group.growing,
        "members": [dataclasses.asdict(one) for one in group.members],
        "expelled": [dataclasses.asdict(one) for one in group.expelled],
        "partitions": [dataclasses.asdict(one) for one in partitions],
    }


def _target(body: Mapping[str, Any]) -> Target:
    unknown = set(body) - {"to", "partition", "force"}
    if unknown:
        raise _refused(min(unknown), "there is no such field; there are to, partition, force")
    match body.get("to"):
        case "earliest":
            return "earliest"
        case "latest":
            return "latest"
        case bool():
            pass
        case int() as offset if offset >= 0:
            return offset
        case str() as text:
            with suppress(ValueError):
                return Since(parse_moment(text, time.time()))
    reason = "expected earliest, latest, an offset as a number, or a time such as 2026-01-31T12:00:00Z"
    raise _refused("to", reason)


def _partition(body: Mapping[str, Any]) -> int | None:
    partition = body.get("partition")
    if partition is not None and (not isinstance(partition, int) or isinstance(partition, bool)):
        raise _refused("partition", "expected the number of a partition")
    return partition


def _force(body: Mapping[str, Any]) -> bool:
    force = body.get("force", False)
    if not isinstance(force, bool):
        raise _refused("force", "expected true or false")
    return force


def _refused(field: str, reason: str) -> RequestError:
    return RequestError("the body cannot be used", details=[{"path": f"$.{field}", "reason": reason}])
