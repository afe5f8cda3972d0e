"""What each command asks of the daemon, what it says, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import config
from actors.errors import ConfigurationError
from config.manifest import KINDS, load
from config.settings import Settings
from daemon import lifecycle
from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl

PARKING = Path(config.__file__).parent / "examples" / "parking.yaml"
DEVICE = {
    "kind": "device",
    "name": "lot-1",
    "product": "p",
    "app": "a",
    "secret": "***",
    "meta": {"version": 1, "created": "x", "updated": "x"},
    "status": {
        "state": "offline",
        "since": "2026-01-02T03:04:05Z",
        "reason": "keep alive ran out",
        "last_report": "2026-01-02T03:04:00Z",
        "reports": 7,
        "rejected": 1,
        "rejected_reports": [{"time": "2026-01-02T03:03:00Z", "topic": "p/out/lot-1", "reason": "s.status: missing"}],
        "mqtt": {"address": "127.0.0.1:1883", "client_id": "lot-1", "username": "p/lot-1", "publish": "p/out/lot-1",
                 "subscribe": "p/in/lot-1"},
    },
}  # fmt: skip
TASK = {"kind": "task", "name": "t", "app": "a", "status": {"state": "failed", "reason": "no such table"}}
APPLIED = {
    "results": [
        {"kind": "app", "name": "a", "result": "created", "fields": [], "warnings": ["odd"]},
        {"kind": "topic", "name": "t", "result": "changed", "fields": ["partitions"], "warnings": []},
        {"kind": "rule", "name": "r", "result": "unchanged", "fields": [], "warnings": []},
    ],
    "generated": [{"kind": "app", "name": "a", "field": "secret", "value": "s3cret"}],
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text("kind: app\nname: a\n")
    return path


# --- check ---


def test_check_takes_the_parking_lot(penstock: Penstock) -> None:
    """The reference manifest is right, with no daemon anywhere."""
    assert penstock("check", "-f", str(PARKING)) == (0, "10 resources, no problems\n", "")


def test_check_tells_everything_that_is_wrong(penstock: Penstock, tmp_path: Path) -> None:
    """Types first, then references, each with file, line, document, path and reason; exit code 1."""
    wrong = PARKING.read_text().replace("type: string, path: data.status", "type: str, path: data.status")
    Path("wrong.yaml").write_text(wrong)
    assert penstock("check", "-f", "wrong.yaml") == (
        1,
        "",
        (
            "penstock: 1 problem\n"
            "wrong.yaml:69: document 8 (task status-to-table): $.source.fields[1].type: Invalid enum value "
            "'str', expected one of boolean, integer, json, number, string\n"
        ),
    )
    dangling = PARKING.read_text().replace("topic: parking-status\n  start", "topic: parking\n  start")
    dangling = dangling.replace("settings: {path", "settings: {paht")
    Path("wrong.yaml").write_text(dangling.replace("connector: sqlite", "connector: sqlight"))
    ended = penstock("check", "-f", "wrong.yaml")
    assert (ended.code, ended.err.splitlines()[1]) == (
        1,
        (
            "wrong.yaml:56: document 7 (connection parking-db): $.connector: there is no connector sqlight; installed: "
            "mysql, postgres, sqlite"
        ),
    )
    Path("wrong.yaml").write_text(dangling)
    assert "$.settings: unknown field `paht`; did you mean `path`?" in penstock("check", "-f", "wrong.yaml").err
    Path("wrong.yaml").write_text(dangling.replace("paht", "path"))
    assert (
        "$.source.topic: there is no topic parking; did you mean parking-status?"
        in penstock("check", "-f", "wrong.yaml").err
    )


def test_check_takes_several_files_and_folders_as_one_manifest(penstock: Penstock) -> None:
    """What one file refers to may be in another."""
    Path("d").mkdir()
    Path("d/app.yaml").write_text("kind: app\nname: a\n")
    Path("topic.yaml").write_text("kind: topic\napp: a\nname: t\nshared_with: [later]\n")
    assert penstock("check", "-f", "topic.yaml").code == 1
    ended = penstock("check", "-f", "topic.yaml", "-f", "d")
    assert (ended.code, ended.out) == (0, "2 resources, no problems\n")
    assert ended.err == "warning: topic.yaml:4: document 1 (topic t): $.shared_with[0]: there is no app later\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.yaml", "none.yaml: cannot be read: No such file"), ("binary.yaml", "binary.yaml:2: not UTF-8 text"),
     ("empty", "empty: the folder holds no .yaml file")],
)  # fmt: skip
def test_files_that_cannot_be_read_are_named(penstock: Penstock, name: str, reason: str) -> None:
    """One line, exit code 1."""
    Path("binary.yaml").write_bytes(b"a: 1\nb: \xff")
    Path("empty").mkdir()
    ended = penstock("check", "-f", name)
    assert ended.code == 1
    assert ended.err.startswith(f"penstock: {reason}")


# --- apply ---


def test_apply_sends_the_file_and_says_what_became_of_each(
    penstock: Penstock, control: FakeControl, manifest: Path
) -> None:
    """created, changed with its fields, unchanged; what was generated is shown."""
    control.on("POST", "apply", APPLIED)
    ended = penstock("apply", "-f", manifest.name)
    assert ended.code == 0
    assert ended.out == (
        "created          app a\n"
        "changed          topic t  (partitions)\n"
        "unchanged        rule r\n"
        "1 created, 1 changed, 1 unchanged\n"
        "\n"
        "Generated, and shown only this once:\n"
        "  app a  secret: s3cret\n"
    )
    assert ended.err == "warning: app a: odd\n"
    (request,) = control.requests
    assert request.body == manifest.read_bytes()
    assert request.headers["Content-Type"] == "application/yaml"
    assert request.headers["X-Penstock-File"] == "m.yaml"


def test_apply_plan_says_what_would_be(penstock: Penstock, control: FakeControl, manifest: Path) -> None:
    """--plan and --allow-unreachable travel as flags."""
    control.on("POST", "apply?plan=true&allow_unreachable=true", {**APPLIED, "generated": []})
    ended = penstock("apply", "-f", manifest.name, "--plan", "--allow-unreachable")
    assert ended.out.splitlines()[0] == "would be created app a"
    assert ended.out.splitlines()[-1] == "1 would be created, 1 would change, 1 unchanged"


def test_apply_sends_nothing_that_is_wrong(penstock: Penstock, control: FakeControl) -> None:
    """A file is validated here before anything is sent."""
    Path("m.yaml").write_text("kind: nonsense\n")
    ended = penstock("apply", "-f", "m.yaml")
    assert ended.code == 1
    assert ended.err.startswith("penstock: nothing was applied\nm.yaml:1: document 1 (nonsense): $.kind: unknown kind")
    assert control.requests == []


def test_apply_of_several_files_is_one_and_tells_each_files_lines(
    penstock: Penstock, control: FakeControl, manifest: Path
) -> None:
    """One request; what the daemon says of a line is told of the file it came from."""
    Path("t.yaml").write_text("# a topic\nkind: topic\napp: b\nname: t\n")
    detail = {"path": "m.yaml + t.yaml:7: ...", "reason": "there is no app b", "file": "m.yaml + t.yaml",
              "document": 2, "line": 7, "subject": "topic t", "field": "$.app"}  # fmt: skip
    control.on("POST", "apply", {"error_msg": "the manifest has one problem", "details": [detail]}, 400)
    ended = penstock("apply", "-f", manifest.name, "-f", "t.yaml")
    assert (ended.code, ended.err) == (
        1,
        "penstock: the manifest has one problem\n  t.yaml:3: topic t: $.app: there is no app b\n",
    )
    sent = load(control.requests[0].body)
    assert [str(document.identity) for document in sent] == ["app a", "topic t"]
    assert control.requests[0].body.splitlines()[detail["line"] - 1] == b"app: b"


def test_apply_reads_standard_input(control: FakeControl) -> None:
    """`-f -`, in a process of its own."""
    control.on("POST", "apply", APPLIED)
    command = [sys.executable, "-m", "daemon.cli.main", "apply", "-f", "-", "--data", str(control.data)]
    done = subprocess.run(command, input=b"kind: app\nname: a\n", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"warning: app a: odd\n")
    assert control.requests[0].headers["X-Penstock-File"] == "standard input"


# --- get ---


def test_get_lists_a_kind(penstock: Penstock, control: FakeControl) -> None:
    """Name, owner and state; the reason of what failed; the plural is taken too."""
    control.lists("task", TASK, {"kind": "task", "name": "u", "app": "a", "status": {"state": "running"}})
    ended = penstock("get", "tasks")
    assert [line.split() for line in ended.out.splitlines()] == [
        ["KIND", "NAME", "APP", "STATE"],
        ["task", "t", "a", "failed:", "no", "such", "table"],
        ["task", "u", "a", "running"],
    ]


def test_get_shows_how_a_device_connects_and_fares(penstock: Penstock, control: FakeControl) -> None:
    """Address, client id, user name, topics, since when and why it is offline, last report, rejected ones."""
    control.on("GET", "devices/p/lot-1", DEVICE)
    out = penstock("get", "device", "p/lot-1").out
    assert [line.split(None, 2)[-1] for line in out.splitlines() if line.startswith(("publishes", "MQTT", "user"))] == [
        "127.0.0.1:1883",
        "p/lot-1",
        "p/out/lot-1",
    ]
    assert "offline since 2026-01-02T03:04:05Z (keep alive ran out)\n" in out
    assert "2026-01-02T03:03:00Z  p/out/lot-1  s.status: missing\n" in out
    assert "last report        2026-01-02T03:04:00Z\n" in out


def test_get_finds_a_device_by_its_name_alone(penstock: Penstock, control: FakeControl) -> None:
    """Where only one product has it; else it asks which."""
    control.on("GET", "devices/p/lot-1", DEVICE)
    control.lists("device", DEVICE, {**DEVICE, "name": "lot-2"})
    assert json.loads(penstock("get", "device", "lot-1", "-o", "json").out) == DEVICE
    assert penstock("get", "device", "lot-9") == (1, "", "penstock: there is no device lot-9\n")
    control.lists("device", DEVICE, {**DEVICE, "product": "q"})
    ended = penstock("get", "device", "lot-1")
    assert (ended.code, ended.err) == (
        2,
        "penstock: several products have a device lot-1; say which: p/lot-1, q/lot-1\n",
    )


def test_get_yaml_is_a_manifest(penstock: Penstock, control: FakeControl) -> None:
    """It loads again; what the instance adds is not in it."""
    control.lists("device", DEVICE, {**DEVICE, "name": "012"})
    out = penstock("get", "device", "-o", "yaml").out
    assert [str(document.identity) for document in load(out)] == ["device p/lot-1", "device p/012"]
    assert out.startswith("kind: device\napp: a\nproduct: p\nname: lot-1\n")
    assert "status" not in out


def test_get_without_a_kind_shows_everything(penstock: Penstock, control: FakeControl) -> None:
    """All kinds, in the order in which they depend on one another."""
    for kind in KINDS:
        control.lists(kind)
    control.lists("device", DEVICE)
    control.lists("task", TASK)
    assert [item["name"] for item in json.loads(penstock("get", "-o", "json").out)] == ["lot-1", "t"]


def test_unknown_kinds_and_missing_names_are_told(penstock: Penstock, control: FakeControl) -> None:
    """A usage error, and the daemon's word."""
    known = ", ".join(KINDS)
    assert penstock("get", "thing") == (2, "", f"penstock: unknown kind thing; known kinds: {known}\n")
    ended = penstock("get", "topic", "b?c")
    assert (ended.code, ended.err) == (1, "penstock: there is no /api/v1/topics/b%3Fc\n")
    ended = penstock("get", "topic", "a/b")
    assert (ended.code, "no topic is called 'a/b'" in ended.err) == (2, True)
    assert control.requests[-1].path == "/api/v1/topics/b%3Fc"


# --- the others ---


def test_delete_takes_records_only_when_told(penstock: Penstock, control: FakeControl) -> None:
    """--data is about the topic's records; it is refused for what has none."""
    control.on("DELETE", "topics/t", None, 204)
    control.on("DELETE", "topics/t?data=true", None, 204)
    assert penstock("delete", "topic", "t") == (0, "deleted topic t\n", "")
    assert penstock("delete", "topic", "t", "--data") == (0, "deleted topic t, with its records\n", "")
    assert [request.path for request in control.requests] == ["/api/v1/topics/t", "/api/v1/topics/t?data=true"]
    assert penstock("delete", "task", "t", "--data").code == 2


def test_delete_takes_the_data_folder_before_the_command(penstock: Penstock, control: FakeControl) -> None:
    """`penstock --data DIR delete ...`, since --data after it means the records."""
    control.on("DELETE", "routes/r", None, 204)
    moved = control.data.rename(control.data.with_name("moved"))
    assert penstock("delete", "route", "r").code == 3
    assert penstock("--data", str(moved), "delete", "route", "r").code == 0


def test_tasks_are_started_and_stopped_each_for_itself(penstock: Penstock, control: FakeControl) -> None:
    """One that is missing does not keep the others."""
    control.on("POST", "tasks/a/stop", {"state": "stopped"})
    control.on("POST", "tasks/c/stop", {"state": "stopped"})
    ended = penstock("task", "stop", "a", "b", "c")
    assert ended == (1, "stopped task a\nstopped task c\n", "penstock: there is no /api/v1/tasks/b/stop\n")
    control.on("POST", "tasks/a/start", {"state": "started"})
    assert penstock("task", "start", "a") == (0, "started task a\n", "")


def test_a_rotated_secret_is_all_that_is_printed(penstock: Penstock, control: FakeControl) -> None:
    """So that a script can take it."""
    control.on("POST", "devices/p/d/rotate-secret", {"secret": "new"})
    assert penstock("device", "rotate-secret", "p", "d") == (0, "new\n", "")


def test_backup_sends_an_absolute_folder(penstock: Penstock, control: FakeControl, tmp_path: Path) -> None:
    """The daemon's working folder is another one."""
    control.on("POST", "backup", {"folder": "/x/copy", "bytes": 5, "topics": {"t": 2}})
    assert penstock("backup", "copy").out == "folder   /x/copy\nbytes    5\ntopics\n  t      2\n"
    assert msgspec.json.decode(control.requests[0].body) == {"folder": str(tmp_path / "copy")}


def test_a_connection_test_says_what_is_possible(penstock: Penstock, control: FakeControl, manifest: Path) -> None:
    """Saved ones by name, unsaved ones by file; a failing one ends with 1 and the reason."""
    report = {"connected": True, "version": "3.4", "milliseconds": 1.26, "may_read": True, "may_write": False}
    control.on("POST", "connections/c/test", {**report, "problem": ""})
    assert penstock("connection", "test", "c").out == (
        "connected   yes\nversion     3.4\ntime        1.3 ms\nmay read    yes\nmay write   no\n"
    )
    control.on("POST", "connections/test", {"connected": False, "problem": "no route to host; check host"})
    assert penstock("connection", "test", "-f", manifest.name) == (
        1,
        "",
        "penstock: not connected: no route to host; check host\n",
    )
    assert control.requests[-1].body == manifest.read_bytes()
    assert penstock("connection", "test").code == 2
    assert penstock("connection", "test", "c", "-f", manifest.name).code == 2


def test_tables_and_their_columns_are_listed(penstock: Penstock, control: FakeControl) -> None:
    """Names one a line; columns as a table."""
    control.on("GET", "connections/c/tables", {"tables": ["A", "B c"]})
    control.on("GET", "connections/c/tables/B%20c", {"columns": [{"name": "x", "type": "TEXT", "nullable": False,
                                                                  "key": True}]})  # fmt: skip
    assert penstock("connection", "tables", "c").out == "A\nB c\n"
    assert penstock("connection", "tables", "c", "B c").out.splitlines()[1].split() == ["x", "TEXT", "no", "yes"]


def test_status_says_what_is_set_differently(penstock: Penstock, control: FakeControl) -> None:
    """Or that nothing is."""
    status = {"instance": "i", "version": "1", "addresses": {"mqtt": "h:1"}, "settings": {"mqtt.listen.port": 0}}
    control.on("GET", "status", status)
    assert penstock("status").out == (
        "instance             i\nversion              1\naddresses\n  mqtt               h:1\n"
        "settings\n  mqtt.listen.port   0\n"
    )
    assert json.loads(penstock("status", "-o", "json").out) == status
    control.on("GET", "status", {**status, "settings": {}})
    assert "settings    all at their defaults\n" in penstock("status").out


def test_run_refuses_settings_that_cannot_be_used(penstock: Penstock, monkeypatch: pytest.MonkeyPatch) -> None:
    """EX_CONFIG, one line a problem, before anything of the daemon is there."""
    monkeypatch.setenv("PENSTOCK_MQTT__LISTEN__PORT", "many")
    assert penstock("run") == (
        78,
        "",
        (
            "penstock: the settings cannot be used\nPENSTOCK_MQTT__LISTEN__PORT: $.mqtt.listen.port: expected a whole "
            "number, got 'many'\n"
        ),
    )
    assert not Path("var").exists()


# --- the process ---


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    """Neither httpx nor trio nor the daemon is imported to show a page of text."""
    code = (
        "import sys, daemon.cli.main\n"
        "heavy = {'httpx', 'trio', 'quart_trio', 'asyncpg', 'yaml', 'structlog', 'pydantic', 'rich'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["--help"], 0), (["nonsense"], 2), (["apply"], 2)]
)
def test_exit_codes_reach_the_shell(arguments: list[str], code: int) -> None:
    """0 fine, 2 usage; nothing is a traceback."""
    done = subprocess.run([sys.executable, "-m", "daemon.cli.main", *arguments], capture_output=True, check=False)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def test_a_refusal_and_an_absent_daemon_reach_the_shell(tmp_path: Path) -> None:
    """1 refused, 3 unreachable, through the real process."""
    (tmp_path / "m.yaml").write_text("kind: nonsense\n")
    codes = [
        subprocess.run([sys.executable, "-m", "daemon.cli.main", *arguments], capture_output=True, cwd=tmp_path,
                       check=False).returncode
        for arguments in (["check", "-f", "m.yaml"], ["status", "--data", str(tmp_path)])
    ]  # fmt: skip
    assert codes == [1, 3]


def test_settings_that_went_wrong_are_told_to_the_running_daemon_as_a_configuration_error(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `run` hands over to be called at SIGHUP raises what the daemon is prepared for."""
    handed_over: list[Callable[[], Settings]] = []

    def serve(settings: Settings, data: Path, reload: Callable[[], Settings], *, reissue_secrets: bool) -> int:
        assert (settings.drain_seconds, data, reissue_secrets) == (5.0, Path("elsewhere"), False)
        handed_over.append(reload)
        return 0

    monkeypatch.setattr(lifecycle, "run", serve)
    Path("penstock.yaml").write_text("drain_seconds: 5\n")
    assert penstock("run", "--config", "penstock.yaml", "--data", "elsewhere").code == 0
    Path("penstock.yaml").write_text("drain_seconds: 6\n")
    assert handed_over[0]().drain_seconds == 6.0
    Path("penstock.yaml").write_text("drain_seconds: soon\n")
    with pytest.raises(ConfigurationError, match=r"penstock.yaml:1: \$.drain_seconds: expected a number, got 'soon'"):
        handed_over[0]()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_the_output_is_told_in_one_line() -> None:
    """What the machine refuses is no traceback."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "daemon.cli.main", "--help"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == b"penstock: [Errno 28] No space left on device"
    assert b"Traceback" not in ended.stderr
