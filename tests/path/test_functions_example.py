"""The example of functions as it stands: reports that one takes, a field that one makes, a route that one guards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.path.client import MqttClient

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "functions.yaml"
USER = {"x-auth": "user1:xxxx"}


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    """A daemon to which the example was applied by the command line."""
    with ChildDaemon(tmp_path_factory.mktemp("garden") / "data") as daemon:
        applied = daemon.penstock("apply", "-f", str(EXAMPLE))
        assert applied.returncode == 0, applied.stderr
        yield daemon
        assert daemon.stop() == 0


def test_a_route_greets_whom_its_authorizer_knows(garden: ChildDaemon) -> None:
    """Others get 401; what the authorizer says reaches the function that answers."""
    with garden.gateway() as client:
        assert client.get("/garden").status_code == 401
        answer = client.get("/garden", headers=USER)
    assert (answer.status_code, answer.json(), answer.headers["x-greeted"]) == (200, {"hello": "user1"}, "user1")
    status = garden.status("authorizers/gardeners")
    assert (status["allowed"], status["denied"], status["remembered"]) == (1, 1, 0)


def test_a_rule_takes_what_its_function_takes_and_a_task_writes_what_another_makes_of_it(garden: ChildDaemon) -> None:
    """Every report is acknowledged; only dry ones are stored, in their order, each with its verdict."""
    with MqttClient(garden.mqtt(), "soil/bed-1", "bed-secret") as bed:
        for moisture in (12, 70, 5, 31, 29):
            bed.report("soil/out/bed-1", f'{{"moisture": {moisture}}}')
        bed.report("soil/out/bed-1", '{"moisture": "?"')
    garden.wait_lag_zero("dry-to-table")
    with garden.gateway() as client:
        rows = client.get("/garden/dry", headers=USER).json()["default"]
    assert [tuple(row.values()) for row in rows] == [
        ("bed-1", 5, "parched"),
        ("bed-1", 12, "dry"),
        ("bed-1", 29, "dry"),
    ]
    condition = garden.status("rules/dry-only")["condition"]
    assert condition == {"taken": 3, "dropped": 2, "failed": 0}


def test_what_functions_decide_is_on_the_metrics_page(garden: ChildDaemon) -> None:
    """Reports that a condition has dropped are counted apart from others."""
    with garden.control() as client:
        page = client.get("/metrics").text
    assert "penstock_mqtt_dropped_by_condition_total" in page
    assert "penstock_mqtt_failed_conditions_total" in page


def test_a_function_in_use_is_not_deleted(garden: ChildDaemon) -> None:
    """Whoever uses it is named."""
    for name, user in (("is-dry", "rule dry-only"), ("how-dry", "task dry-to-table"), ("gate", "authorizer gardeners")):
        deleted = garden.penstock("delete", "function", name)
        assert deleted.returncode != 0
        assert user in deleted.stderr + deleted.stdout
