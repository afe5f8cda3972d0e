"""Functions from a starting point to a result, with the command line, against a daemon of its own."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import ClassVar

import httpx
import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.mariadb import MariadbDatabase, fixture_mariadb_database, fixture_mariadb_server
from tests.fakes.plain_http import NO_TLS
from tests.fakes.platform_scripts import DATABASES

__all__ = ["fixture_mariadb_database", "fixture_mariadb_server"]

ROOT = Path(__file__).parents[2]
APP = "kind: app\nname: my-app\nkey: my-app-key\nsecret: my-app-secret\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "data/plugins").mkdir(parents=True)
    with ChildDaemon(folder / "data") as daemon:
        apply(daemon, APP)
        yield daemon
        assert daemon.stop() == 0


def apply(daemon: ChildDaemon, text: str) -> str:
    file = daemon.data.parent / "manifest.yaml"
    file.write_text(text)
    return told(daemon, "apply", "-f", str(file))


def told(daemon: ChildDaemon, *arguments: str) -> str:
    ended = daemon.penstock(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def new(daemon: ChildDaemon, template: str, name: str) -> None:
    """Write a starting point; what is a plugin goes where the daemon looks for plugins."""
    told(daemon, "function", "new", name, "--template", template, "--out", str(daemon.data.parent / "new"))
    module = daemon.data.parent / "new" / f"{name}.py"
    if module.exists():
        module.rename(daemon.data / "plugins" / module.name)
        told(daemon, "plugins", "reload")


def run(daemon: ChildDaemon, name: str, data: object) -> object:
    file = daemon.data.parent / "data.json"
    file.write_text(json.dumps(data))
    ended = daemon.penstock("function", "test", name, "--data", str(file), "-o", "json")
    tried = json.loads(ended.stdout)
    assert ended.returncode == 0, tried["error"]
    return tried["result"]


def manifest(daemon: ChildDaemon, name: str) -> str:
    return (daemon.data.parent / "new" / f"{name}.yaml").read_text()


def test_a_plugin_of_ten_lines_is_written_dropped_in_and_called(daemon: ChildDaemon) -> None:
    """The template as it stands: written, dropped in, applied, tested; its runs and logs are kept."""
    new(daemon, "python", "greet")
    code = (daemon.data / "plugins/greet.py").read_text()
    assert len([line for line in code.splitlines() if line]) <= 10
    apply(daemon, manifest(daemon, "greet"))
    assert run(daemon, "greet", {"name": "you"}) == {"greeting": "hello, you"}
    assert "greets name=you" in told(daemon, "function", "logs", "greet")
    assert "function" in told(daemon, "get", "plugins")
    assert "deployed" in told(daemon, "get", "function", "greet")


def test_the_readme_shows_a_plugin_that_works(daemon: ChildDaemon) -> None:
    """What the README says to drop in is ten lines, and does what it says."""
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    code = shown[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (daemon.data / "plugins/free.py").write_text(code)
    told(daemon, "plugins", "reload")
    apply(
        daemon,
        "{kind: connection, app: my-app, name: parking-db, connector: sqlite, settings: {path: p.db}}\n---\n"
        "{kind: function, app: my-app, name: free, language: python, module: free}\n",
    )
    with sqlite3.connect(daemon.data / "p.db") as database:
        database.execute("CREATE TABLE ParkingData (DeviceId TEXT, Status TEXT)")
        database.execute("INSERT INTO ParkingData VALUES ('lot-000001', '0')")
    assert run(daemon, "free", {"lot": "lot-000001"}) == {"free": True}


class Redis(StreamRequestHandler):
    """As much of a Redis server as a test needs."""

    kept: ClassVar[dict[bytes, bytes]] = {}

    def handle(self) -> None:
        count = int(self.rfile.readline()[1:])
        words = []
        for _ in range(count):
            length = int(self.rfile.readline()[1:])
            words.append(self.rfile.read(length + 2)[:-2])
        match words:
            case [b"SET", name, value]:
                self.kept[name] = value
                self.wfile.write(b"+OK\r\n")
            case [b"GET", name]:
                found = self.kept.get(name)
                self.wfile.write(b"$-1\r\n" if found is None else b"$%d\r\n%b\r\n" % (len(found), found))
            case _:
                self.wfile.write(b"-ERR unknown command\r\n")


@contextmanager
def redis() -> Iterator[int]:
    with ThreadingTCPServer(("127.0.0.1", 0), Redis) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def test_the_redis_template_speaks_to_a_server(tmp_path: Path) -> None:
    """What it sets it gets again, in UTF-8; what the server refuses is the call's error."""
    with redis() as port, ChildDaemon(tmp_path / "data", REDIS_PORT=str(port)) as daemon:
        (daemon.data / "plugins").mkdir(exist_ok=True)
        apply(daemon, APP)
        new(daemon, "redis", "cache")
        apply(daemon, manifest(daemon, "cache"))
        assert run(daemon, "cache", ["SET", "greeting", "hallöchen"]) == "OK"
        assert run(daemon, "cache", ["GET", "greeting"]) == "hallöchen"
        assert run(daemon, "cache", ["GET", "nothing"]) is None
        with pytest.raises(AssertionError, match="ERR unknown command"):
            run(daemon, "cache", ["DROP"])


def test_the_authorizer_template_lets_in_and_keeps_out(daemon: ChildDaemon) -> None:
    """The route that it brings answers who shows the right header, and nobody else."""
    new(daemon, "front-authorizer", "door")
    apply(daemon, manifest(daemon, "door"))
    assert daemon.note is not None
    url = f"http://{daemon.note.gateway}/door"
    assert httpx.get(url, headers={"X-Auth": "user1:xxxx"}, verify=NO_TLS).text == "hello"
    refused = httpx.get(url, verify=NO_TLS)
    assert (refused.status_code, refused.json()["error_code"]) == (401, "APIC.0305")


PERSON = "CREATE TABLE person (name VARCHAR(20), age INT); INSERT INTO person VALUES ('Tom', 20), ('Ann', 30);"


def test_the_mysql_template_asks_a_database(daemon: ChildDaemon, mariadb_database: MariadbDatabase) -> None:
    """With the settings of a real one in it, it brings the rows."""
    mariadb_database.execute(PERSON)
    new(daemon, "mysql", "people")
    settings = mariadb_database.settings
    text = manifest(daemon, "people").replace("default: secret", f"default: {settings['password']}")
    for written, name in (("port: 3306", "port"), ("database: db", "database"), ("user: app", "user")):
        text = text.replace(written, f"{name}: {settings[name]}")
    apply(daemon, text)
    assert run(daemon, "people", {"name": "Ann", "age": 30}) == [{"name": "Ann", "age": 30}]


@pytest.mark.parametrize("source", DATABASES)
def test_a_script_that_names_a_database_by_url_runs_where_it_is_listed(
    tmp_path: Path, mariadb_database: MariadbDatabase, source: str
) -> None:
    """As it is written but for whose database it is; where it is not listed, the error says what to do."""
    mariadb_database.execute(PERSON)
    settings = mariadb_database.settings
    place = f"127.0.0.1:{settings['port']}/{settings['database']}"
    script = source.replace("127.0.0.1:3306/db", place)
    script = script.replace('setUser("xxxx")', f'setUser("{settings["user"]}")')
    script = script.replace('setPassword("xxxx")', f'setPassword("{settings["password"]}")')
    function = {"kind": "function", "app": "my-app", "name": "people", "language": "javascript", "source": script}
    config = tmp_path / "penstock.yaml"
    config.write_text(f"functions: {{script_connections: ['{place}']}}\n")
    with ChildDaemon(tmp_path / "data") as daemon:
        apply(daemon, f"{APP}---\n{json.dumps(function)}\n")
        with pytest.raises(AssertionError, match=r"functions\.script_connections"):
            run(daemon, "people", {})
        assert daemon.stop() == 0
        daemon.arguments = ("--config", str(config))
        daemon.start()
        assert run(daemon, "people", {}) == [{"name": "Tom", "age": 20}]
        assert daemon.stop() == 0


def test_sighup_picks_up_plugins_and_disturbs_nobody(daemon: ChildDaemon) -> None:
    """Calls go on while modules change under them: each is answered by the old one or by the new one."""
    module = daemon.data / "plugins/word.py"
    code = "from plugins.api import function\n\n@function\nasync def word(data, context):\n    return '{word}'\n"
    module.write_text(code.format(word="one"))
    told(daemon, "plugins", "reload")
    apply(
        daemon,
        "{kind: function, app: my-app, name: word, language: python, module: word}\n---\n"
        "{kind: route, app: my-app, name: word, request: {path: /word}, auth: none, "
        "backend: {function: {name: word}}}\n",
    )
    assert daemon.note is not None
    with httpx.Client(verify=NO_TLS, base_url=f"http://{daemon.note.gateway}") as client:
        assert client.get("/word").json() == "one"
        for number in range(4):
            module.write_text(code.format(word=f"number {number}") if number % 3 else "broken(")
            daemon.send(signal.SIGHUP)
            expected = f"number {number if number % 3 else number - 1}" if number else "one"
            deadline = time.monotonic() + 10
            while (said := client.get("/word")).json() != expected:
                assert said.status_code == 200
                assert time.monotonic() < deadline
    listed = daemon.penstock("get", "plugin", "word").stdout
    assert "kept" in listed
    assert "word.py:1: SyntaxError" in listed
