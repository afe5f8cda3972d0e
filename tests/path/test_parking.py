"""The story of the project, end to end: a sensor reports over MQTT, a driver is answered over HTTP."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.path.client import connack_code
from tests.path.lot import APP, EXAMPLE, FIRST, SECOND, TASK, ParkingLot, report

OUT = f"parking-sensor/out/{FIRST}"


def test_sensors_report_and_a_driver_is_told_how_many_lots_are_free(parking: ParkingLot) -> None:
    """QoS 1 reports that were acknowledged are counted by the route, exactly, in the shape that callers expect."""
    parking.tell(lot_000001="0", lot_000002="0")
    assert parking.free() == '{"default":[{"FreeNo":2}]}'
    parking.tell(lot_000001="1")
    assert parking.free() == '{"default":[{"FreeNo":1}]}'
    parking.tell(lot_000002="1")
    assert parking.free() == '{"default":[{"FreeNo":0}]}'


def test_a_lot_is_shown_to_the_app_alone(parking: ParkingLot) -> None:
    """`auth: app` takes the app's key and secret or its AppCode, and refuses everybody else with 401 and a reason."""
    parking.tell(lot_000001="1")
    code = re.search(r"app city-parking +app_codes\S*: (\S+)", parking.applied)
    assert code is not None, parking.applied
    path, row = f"/parking/lots/{FIRST}", {"default": [{"DeviceId": FIRST, "Status": "1"}]}
    with parking.daemon.gateway() as client:
        assert client.get(path, auth=APP).json() == row
        assert client.get(path, headers={"X-Apig-AppCode": code[1]}).json() == row
        for refused in (
            client.get(path),
            client.get(path, auth=(APP[0], "wrong")),
            client.get(path, headers={"X-Apig-AppCode": "wrong"}),
        ):
            assert refused.status_code == 401
            assert set(refused.json()) == {"error_code", "error_msg", "request_id"}


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_of_the_tour_work_by_hand(parking: ParkingLot) -> None:
    """What a person copies into a shell works with programs that this project did not write."""
    parking.tell(lot_000002="1")
    host, port = parking.daemon.mqtt()
    publish = (
        f"mosquitto_pub -h {host} -p {port} -i lot-000001 -u parking-sensor/lot-000001 -P lot-secret-000001 -q 1 "
        """-t parking-sensor/out/lot-000001 -m '{"deviceId":"lot-000001","status":"0"}'"""
    )
    subprocess.run(["sh", "-c", publish], check=True, timeout=20)
    parking.daemon.wait_lag_zero(TASK)
    assert parking.daemon.note is not None
    ask = f"curl -s http://{parking.daemon.note.gateway}/parking/free"
    answer = subprocess.run(["sh", "-c", ask], check=True, timeout=20, capture_output=True)
    assert answer.stdout == b'{"default":[{"FreeNo":1}]}'


def test_applying_again_changes_nothing(parking: ParkingLot) -> None:
    """`apply` is idempotent: every resource is unchanged, and what runs is not restarted."""
    before = parking.daemon.status(f"tasks/{TASK}")
    again = parking.daemon.penstock("apply", "-f", str(EXAMPLE))
    assert again.returncode == 0, again.stderr
    *resources, counts = again.stdout.splitlines()
    assert counts == "0 created, 0 changed, 10 unchanged"
    assert {line.split()[0] for line in resources} == {"unchanged"}
    assert parking.daemon.status(f"tasks/{TASK}")["rows"] == before["rows"]


def test_the_count_runs_on_sqlite_with_its_quotes_and_semicolon(parking: ParkingLot) -> None:
    """`Status="0"` with a closing semicolon runs as written; two statements in one string are not even applied."""
    route = (
        "kind: route\napp: city-parking\nname: {name}\nrequest: {{path: /{name}}}\nauth: none\n"
        "backend: {{data: {{connection: parking-db, sql: {sql}}}}}\n"
    )
    count = """'SELECT COUNT(Status) AS FreeNo FROM ParkingData WHERE Status="0";'"""
    parking.daemon.apply(route.format(name="as-written", sql=count))
    parking.tell(lot_000001="0", lot_000002="1")
    two = """'SELECT 1; DELETE FROM ParkingData'"""
    with parking.daemon.control() as client:
        refused = client.post("/api/v1/apply", content=route.format(name="two", sql=two).encode())
    assert refused.status_code == 400
    assert "more than one statement" in refused.json()["details"][0]["reason"]
    with parking.daemon.gateway() as client:
        assert client.get("/as-written").text == '{"default":[{"FreeNo":1}]}'
        assert client.get("/two").status_code == 404
        assert client.get("/as-written").text == '{"default":[{"FreeNo":1}]}'


def test_a_rejected_report_is_acknowledged_not_forwarded_and_shown_with_its_reason(parking: ParkingLot) -> None:
    """What breaks the thing model is acknowledged, goes no further, and its device shows why to whoever asks."""
    parking.tell(lot_000001="0", lot_000002="1")
    stored = parking.daemon.status("topics/parking-status")["messages"]
    bad = (report(FIRST, "7"), '{"status":"0"}', "this is not JSON", report(FIRST, "0") + "}", "")
    with parking.sensor(FIRST) as client:
        for payload in bad:
            client.report(OUT, payload)
        assert len(client.acknowledged) == len(bad)
    assert parking.daemon.status("topics/parking-status")["messages"] == stored
    assert parking.free() == '{"default":[{"FreeNo":1}]}'
    shown = parking.daemon.penstock("get", "device", FIRST)
    assert shown.returncode == 0, shown.stderr
    for reason in ("status: is none of '0', '1'", "deviceId: is missing", "not JSON"):
        assert reason in shown.stdout
    last = parking.daemon.status(f"devices/parking-sensor/{FIRST}")["rejected_reports"]
    assert [one["topic"] for one in last[-len(bad) :]] == [OUT] * len(bad)


def test_an_app_hears_reports_and_answers_a_device(parking: ParkingLot) -> None:
    """An app subscribes to what its product's devices publish, and reaches one device on its own topic."""
    with parking.app() as app, parking.sensor(FIRST) as sensor, parking.sensor(SECOND) as other:
        app.subscribe("parking-sensor/out/+")
        sensor.subscribe(f"parking-sensor/in/{FIRST}")
        other.subscribe(f"parking-sensor/in/{SECOND}")
        sensor.report(OUT, report(FIRST, "0"))
        assert app.heard.get(timeout=10) == (OUT, report(FIRST, "0").encode())
        app.report(f"parking-sensor/in/{FIRST}", b'{"light":"green"}')
        assert sensor.heard.get(timeout=10) == (f"parking-sensor/in/{FIRST}", b'{"light":"green"}')
        # Its own came first and alone: what was for the other device never came here.
        app.report(f"parking-sensor/in/{SECOND}", b"for the other")
        assert other.heard.get(timeout=10) == (f"parking-sensor/in/{SECOND}", b"for the other")
        assert sensor.heard.empty()
        assert app.heard.empty()


def test_disabling_a_device_ends_its_session_and_refuses_it(parking: ParkingLot) -> None:
    """`enabled: false` closes the living session, answers CONNECT with code 5, and leaves other devices alone."""
    device = next(part for part in EXAMPLE.read_text().split("---\n") if f"name: {FIRST}" in part)
    with parking.sensor(FIRST) as client, parking.sensor(SECOND) as other:
        client.client.reconnect_delay_set(min_delay=60)
        parking.daemon.apply(device + "enabled: false\n")
        status = parking.daemon.wait_status(
            f"devices/parking-sensor/{FIRST}", lambda status: status["state"] == "offline"
        )
        assert "disabled" in status["reason"]
        assert connack_code(parking.daemon.mqtt(), FIRST, f"parking-sensor/{FIRST}", f"lot-secret-{FIRST[4:]}") == 5
        other.report(f"parking-sensor/out/{SECOND}", report(SECOND, "0"))
        assert other.disconnects == []
    parking.daemon.apply(device)
    with parking.sensor(FIRST) as client:
        client.report(OUT, report(FIRST, "1"))


def test_who_is_not_known_or_not_right_gets_the_right_connack_code(parking: ParkingLot) -> None:
    """A wrong secret and a device that nobody knows are refused, and a reason stands in nobody's secret."""
    address = parking.daemon.mqtt()
    assert connack_code(address, FIRST, f"parking-sensor/{FIRST}", "wrong-secret-zzz") in {4, 5}
    assert connack_code(address, "nobody", "parking-sensor/nobody", "wrong-secret-zzz") in {4, 5}
    log = parking.daemon.log.read_text()
    assert "CONNECT refused" in log
    assert "wrong-secret-zzz" not in log


def test_a_stop_and_a_start_keep_everything(folder: Path) -> None:
    """Over a restart: resources, secrets, rows, the instance's id, and a task that goes on where it was."""
    with ChildDaemon(folder) as daemon:
        lot = ParkingLot(daemon)
        daemon.apply(EXAMPLE.read_text())
        lot.tell(lot_000001="0", lot_000002="0")
        instance = daemon.ask("status")["instance"]
        assert daemon.stop() == 0
        assert not (folder / "daemon.json").exists()
        daemon.start()
        assert lot.free() == '{"default":[{"FreeNo":2}]}'
        lot.tell(lot_000001="1")
        assert lot.free() == '{"default":[{"FreeNo":1}]}'
        assert daemon.status(f"tasks/{TASK}")["rows"] == 1, "what was written before is not written again"
        assert daemon.status("topics/parking-status")["messages"] == 3
        assert daemon.ask("status")["instance"] == instance
        again = daemon.apply(EXAMPLE.read_text())
        assert {one["result"] for one in again["results"]} == {"unchanged"}
        assert daemon.stop() == 0
