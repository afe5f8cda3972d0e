"""`/backlog` and `/audit`: JSON of what the doctor found and did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.doctor.messages import Cause, Diagnosis, Remedy
from actors.ports import AuditEntry
from daemon.catalog.errors import NotFoundError
from daemon.control.app import create_app
from daemon.control.backlog import backlog_family
from daemon.control.context import Control
from tests.daemon.control.conftest import Api

REMEDY = Remedy("more_runners", "Let 4 runners work.", 60.0, harmless=True, commands=("penstock ...",), value=4)
CAUSE = Cause("slow_consumers", "Consumers are too slow.", {"produce_rate": 300.0}, (REMEDY,))
FOUND = Diagnosis(
    group="g",
    topic="t",
    kind="task",
    verdict="growing",
    text="It is behind.",
    lag=1000,
    lag_bytes=None,
    lag_seconds=12.5,
    waiting_seconds=15.0,
    produce_rate=300.0,
    consume_rate=100.0,
    drain_seconds=None,
    members=1,
    partitions=4,
    causes=(CAUSE,),
)
ENTRY = AuditEntry(1000, "doctor", "task g", "set_runners", "1", "4", "slow_consumers: ...")


class FakeDoctor:
    async def audit(self, limit: int) -> Sequence[AuditEntry]:
        return [ENTRY] * min(limit, 3)

    def diagnoses_of(self, *, topic: str | None = None, group: str | None = None) -> Sequence[Diagnosis]:
        if group == "nobody":
            raise NotFoundError("there is no group nobody")
        return [FOUND] if topic in {None, "t"} else []


@pytest.fixture
def api(control: Control) -> Api:
    return Api(create_app(replace(control, families=(backlog_family(FakeDoctor()),))))


async def test_a_diagnosis_is_shown_whole(api: Api) -> None:
    """Causes with figures, remedies with commands and expected seconds; null is what is not known."""
    status, body, _ = await api.call("GET", "/api/v1/backlog")
    assert status == 200
    (found,) = body["groups"]
    assert (found["group"], found["verdict"], found["lag_bytes"], found["drain_seconds"]) == (
        "g",
        "growing",
        None,
        None,
    )
    (cause,) = found["causes"]
    assert cause["figures"] == {"produce_rate": 300.0}
    assert cause["remedies"][0]["expected_seconds_to_drain"] == 60.0
    assert cause["remedies"][0]["harmless"] is True


async def test_questions_that_make_no_sense_are_refused(api: Api) -> None:
    """An unknown group is 404, an unknown parameter and a bad limit 400; a topic without groups is empty."""
    assert (await api.call("GET", "/api/v1/backlog?group=nobody"))[0] == 404
    assert (await api.call("GET", "/api/v1/backlog?grop=g"))[0] == 400
    assert (await api.call("GET", "/api/v1/backlog?topic=other"))[1] == {"groups": []}
    for limit in ("0", "-1", "x", "1001", "%D9%A1"):
        assert (await api.call("GET", f"/api/v1/audit?limit={limit}"))[0] == 400, limit


async def test_the_audit_log_is_read(api: Api) -> None:
    """As many entries as asked for, with before and after."""
    status, body, _ = await api.call("GET", "/api/v1/audit?limit=2")
    assert status == 200
    assert len(body["entries"]) == 2
    assert body["entries"][0]["before"] == "1"
    assert body["entries"][0]["outcome"] == "done"


async def test_the_family_describes_itself(api: Api) -> None:
    """Both paths stand in the API's description."""
    paths = (await api.call("GET", "/api/v1/openapi.json"))[1]["paths"]
    assert "get" in paths["/api/v1/backlog"]
    assert "get" in paths["/api/v1/audit"]
