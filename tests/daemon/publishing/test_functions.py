"""The life of functions and plugins, over the control API, in a whole instance."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.house import Tenant, living

OWNER = "{kind: app, name: a, key: key-a}\n---\n{kind: app, name: b, key: key-b}\n---\n"
GREET = """
from plugins.api import FunctionContext, function

@function
async def greet(data, context: FunctionContext):
    context.log("greets", data=data)
    if data == "nobody":
        raise ValueError("there is nobody")
    return "{word}, " + str(data)
"""
REACH = """
from plugins.api import FunctionContext, function

@function
async def reach(data, context: FunctionContext):
    match data["do"]:
        case "query":
            return await context.query(data["connection"], "SELECT 1 + :x AS n", x=data["x"])
        case "publish":
            return (await context.publish(data["topic"], {"a": 1}, key="k"))._asdict()
        case "http":
            return (await context.http("GET", data["url"])).json()
"""


def function(name: str = "f", module: str = "greet", extra: str = "") -> str:
    return f"{{kind: function, app: a, name: {name}, language: python, module: {module}{extra}}}\n---\n"


def drop(data: Path, name: str, text: str) -> None:
    folder = data / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    drop(tmp_path / "data", "greet", GREET.format(word="hello"))
    drop(tmp_path / "data", "greet2", GREET.format(word="servus"))
    drop(tmp_path / "data", "reach", REACH)
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(OWNER)
        yield tenant


async def done(tenant: Tenant, path: str, **body: Any) -> dict[str, Any]:
    answer = await tenant.call("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def items(tenant: Tenant, path: str) -> list[dict[str, Any]]:
    answer = await tenant.call("GET", path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def refused(tenant: Tenant, path: str, **body: Any) -> tuple[int, str]:
    answer = await tenant.call("POST", path, json=body)
    return answer.status_code, answer.json()["error_msg"]


async def test_applied_is_deployed_and_every_version_can_run_again(tenant: Tenant) -> None:
    """A changed function is a new version; other words about it are not; switching back runs the older one."""
    await tenant.apply(function())
    assert (await tenant.status("functions/f"))["version"] == 1
    await tenant.apply(function(extra=", title: Greets, shared_with: [b]"))
    assert (await tenant.status("functions/f"))["version"] == 1
    await tenant.apply(function(module="greet2"))
    status = await tenant.status("functions/f")
    assert (status["version"], status["state"]) == (2, "deployed")
    assert (await done(tenant, "functions/f/switch", version=1))["version"] == 1
    assert (await tenant.status("functions/f"))["state"] == "changed since it was deployed"
    versions = await items(tenant, "functions/f/versions")
    assert [(one["version"], one["running"], one["remark"]) for one in versions] == [
        (2, False, "applied"),
        (1, True, "applied"),
    ]
    assert (await done(tenant, "functions/f/deploy", remark="back"))["version"] == 3
    assert (await done(tenant, "functions/f/deploy", remark="again"))["version"] == 3
    await tenant.apply(function(name="off", extra=", enabled: false"))
    assert (await done(tenant, "functions/off/deploy"))["problem"] == "it is disabled (`enabled: false`)"
    assert await refused(tenant, "functions/f/switch", version=9) == (
        404,
        "function f has no version 9; `penstock function versions f` shows those that are kept",
    )


async def test_a_draft_is_tested_and_deployed_by_hand(tenant: Tenant) -> None:
    """`deploy: false` only saves: a test runs the saved copy, whatever runs."""
    await tenant.apply(function(extra=", deploy: false"))
    assert (await tenant.status("functions/f"))["state"] == "not deployed"
    tried = await done(tenant, "functions/f/test", data="you")
    assert (tried["outcome"], tried["result"], tried["error"]) == ("done", "hello, you", "")
    assert [line["text"] for line in tried["log"]] == ["greets data=you"]
    assert (await done(tenant, "functions/f/deploy", remark="first"))["version"] == 1
    await tenant.apply(function(module="greet2", extra=", deploy: false"))
    assert (await tenant.status("functions/f"))["state"] == "changed since it was deployed"
    assert (await done(tenant, "functions/f/test", data="you"))["result"] == "servus, you"
    tried = await done(tenant, "functions/f/test", data="nobody")
    assert (tried["outcome"], tried["result"]) == ("failed", None)
    assert "ValueError: there is nobody" in tried["error"]


async def test_runs_are_kept_with_their_logs(tenant: Tenant) -> None:
    """Each with its outcome, its time and its log; those that failed apart."""
    await tenant.apply(function())
    await done(tenant, "functions/f/test", data="nobody")
    await done(tenant, "functions/f/test", data="you")
    runs = await items(tenant, "functions/f/runs")
    assert [(one["run"], one["outcome"], one["version"]) for one in runs] == [(2, "done", 0), (1, "failed", 0)]
    failed = await items(tenant, "functions/f/runs?failed=true")
    assert [one["run"] for one in failed] == [1]
    answer = await tenant.call("GET", "functions/f/runs/1")
    assert [line["text"] for line in answer.json()["log"]] == ["greets data=nobody"]
    assert (await refused(tenant, "functions/nothing/test"))[1] == (
        "there is no function nothing; `penstock get function` shows those there are"
    )
    status = await tenant.status("functions/f")
    assert (status["calls"], status["errors"], status["last_failure"]["run"]) == (2, 1, 1)
    assert (await tenant.call("GET", "functions/f/runs/9")).status_code == 404
    metrics = (await tenant.call("GET", "../../metrics")).text
    assert 'penstock_function_calls_total{function="f",outcome="failed"} 1.0' in metrics


async def test_runs_outlive_the_daemon(tmp_path: Path) -> None:
    """With their logs, also those of a draft and of the last moment; numbers go on, and counts are since the start."""
    data = tmp_path / "data"
    drop(data, "greet", GREET.format(word="hello"))
    async with living(data) as tenant:
        await tenant.apply(OWNER + function() + function(name="draft", extra=", deploy: false"))
        for who in ("nobody", "you"):
            await done(tenant, "functions/f/test", data=who)
        await done(tenant, "functions/draft/test", data="me")
        before = await items(tenant, "functions/f/runs?log=true")
    async with living(data) as tenant:
        assert await items(tenant, "functions/f/runs?log=true") == before
        assert [one["called_by"] for one in before] == ["test", "test"]
        assert [one["run"] for one in await items(tenant, "functions/f/runs?failed=true")] == [1]
        answer = await tenant.call("GET", "functions/draft/runs/1")
        assert [line["text"] for line in answer.json()["log"]] == ["greets data=me"]
        status = await tenant.status("functions/f")
        assert (status["calls"], status["last_failure"]["run"]) == (0, 1)
        await done(tenant, "functions/f/test", data="again")
        assert [one["run"] for one in await items(tenant, "functions/f/runs")] == [3, 2, 1]


async def test_a_function_that_is_removed_takes_its_runs_with_it(tmp_path: Path) -> None:
    """Another of its name, in this life or the next, knows nothing of them."""
    data = tmp_path / "data"
    drop(data, "greet", GREET.format(word="hello"))
    async with living(data) as tenant:
        await tenant.apply(OWNER + function())
        await done(tenant, "functions/f/test", data="you")
        assert (await tenant.call("DELETE", "functions/f")).status_code == 204
        await tenant.apply(function())
        assert await items(tenant, "functions/f/runs") == []
    async with living(data) as tenant:
        assert await items(tenant, "functions/f/runs") == []
        await done(tenant, "functions/f/test", data="you")
        assert [one["run"] for one in await items(tenant, "functions/f/runs")] == [1]


async def test_what_runs_outlives_the_daemon(tmp_path: Path) -> None:
    """Versions, and which one runs, come back with the store; a module that is gone is told, and comes back too."""
    data = tmp_path / "data"
    drop(data, "greet", GREET.format(word="hello"))
    async with living(data) as tenant:
        await tenant.apply(OWNER + function())
        await tenant.apply(function(extra=", timeout_ms: 100"))
        await done(tenant, "functions/f/switch", version=1)
    (data / "plugins/greet.py").rename(data / "plugins/greet.txt")
    async with living(data) as tenant:
        status = await tenant.status("functions/f")
        assert (status["state"], status["version"]) == ("failed", 1)
        assert "there is no plugin module greet" in status["reason"]
        (data / "plugins/greet.txt").rename(data / "plugins/greet.py")
        told = await done(tenant, "plugins/reload")
        assert (told["added"], told["functions"]) == (["greet"], ["f"])
        assert (await tenant.status("functions/f"))["state"] == "changed since it was deployed"
        assert (await done(tenant, "functions/f/deploy"))["version"] == 3


async def test_code_that_is_not_there_is_refused_where_it_is_written(tenant: Tenant) -> None:
    """A module that is missing or failed refuses an apply with file, line and reason; a draft may name it."""
    drop(Path((await tenant.call("GET", "status")).json()["data"]), "bad", "import nowhere_at_all\n")
    await done(tenant, "plugins/reload")
    for module, reason in (("gret", "there is no plugin module gret"), ("bad", "bad.py:1: ModuleNotFoundError")):
        answer = await tenant.call("POST", "apply", content=function(module=module).encode())
        assert answer.status_code == 400
        (detail,) = answer.json()["details"]
        assert detail["path"].endswith("(function f): $.module")
        assert reason in detail["reason"]
        await tenant.apply(function(name="draft", module=module, extra=", deploy: false"))
        status, told = await refused(tenant, "functions/draft/deploy")
        assert (status, reason in told) == (409, True)
        assert told.startswith("function draft is not deployed: ")
        assert "penstock plugins reload" in told
        assert await refused(tenant, "functions/draff/deploy") == (
            404,
            "there is no function draff; did you mean draft?",
        )
        assert (await refused(tenant, "functions/draft/test", data=1))[0] == 409


async def test_functions_reach_what_their_app_may_reach(tenant: Tenant) -> None:
    """Its own connections and topics, and those shared with it; nobody else's, and nothing on this machine."""
    await tenant.apply(
        function(name="r", module="reach")
        + "{kind: connection, app: a, name: own, connector: sqlite, settings: {path: a.db}}\n---\n"
        + "{kind: connection, app: b, name: foreign, connector: sqlite, settings: {path: b.db}}\n---\n"
        + "{kind: connection, app: b, name: lent, connector: sqlite, settings: {path: b.db}, shared_with: [a]}\n---\n"
        + "{kind: topic, app: a, name: mine, partitions: 1}\n---\n{kind: topic, app: b, name: theirs}\n---\n"
        + "{kind: topic, app: b, name: granted, partitions: 1, grants: [{app: a, access: publish}]}\n---\n"
    )

    async def run(**asked: Any) -> tuple[Any, str]:
        tried = await done(tenant, "functions/r/test", data=asked)
        return tried["result"], tried["error"]

    for name in ("own", "lent"):
        assert await run(do="query", connection=name, x=2) == ([{"n": 3}], "")
    assert (
        "belongs to app b, which does not share it with app a" in (await run(do="query", connection="foreign", x=2))[1]
    )
    for name in ("mine", "granted"):
        result, _ = await run(do="publish", topic=name)
        assert (result["topic"], result["offset"]) == (name, 0)
    assert "topic theirs belongs to app b" in (await run(do="publish", topic="theirs"))[1]
    assert "there is no topic none" in (await run(do="publish", topic="none"))[1]
    control = tenant.house.addresses()["control"]
    assert "(loopback) is not to be called from here" in (await run(do="http", url=f"http://{control}/healthz"))[1]
    (record,) = (await tenant.call("GET", "topics/mine/messages?key=k")).json()["messages"]
    assert record["value"] == {"a": 1}


async def test_plugins_are_shown_and_read_anew_while_they_are_in_use(tenant: Tenant) -> None:
    """What changed is picked up, what fails serves on as it was and says so, nothing else is touched."""
    data = Path((await tenant.call("GET", "status")).json()["data"])
    await tenant.apply(function() + function(name="g", module="greet2"))
    before = {one["name"]: one for one in await items(tenant, "plugins")}
    assert (before["greet"]["state"], before["greet"]["declares"]) == ("loaded", "function")
    assert before["sqlite"]["origin"] == "built-in"
    drop(data, "greet", GREET.format(word="salut"))
    told = await done(tenant, "plugins/reload")
    assert (told["changed"], told["functions"], told["connections"]) == (["greet"], ["f"], [])
    assert (await done(tenant, "functions/f/test", data="you"))["result"] == "salut, you"
    drop(data, "greet", "\n\nraise RuntimeError('half an edit')\n")
    told = await done(tenant, "plugins/reload")
    (failure,) = told["failed"]
    assert (failure["line"], failure["reason"], failure["kept"]) == (3, "RuntimeError: half an edit", True)
    assert (await done(tenant, "functions/f/test", data="you"))["result"] == "salut, you"
    after = {one["name"]: one for one in await items(tenant, "plugins")}
    assert after["greet"]["state"] == "kept"
    assert after["greet"]["failure"]["line"] == 3
    assert after["greet2"] == before["greet2"]
    (data / "plugins/greet2.py").unlink()
    told = await done(tenant, "plugins/reload")
    assert (told["removed"], told["functions"]) == (["greet2"], [])
    (problem,) = told["problems"]
    assert problem.startswith("function g cannot run: there is no plugin module greet2")
    assert (told["folder"], told["folder_is_there"]) == (str(data / "plugins"), True)
    status, why = await refused(tenant, "functions/g/test", data=1)
    assert (status, why.partition(";")[0]) == (409, "function g cannot run: there is no plugin module greet2")


CONNECTOR = """
import plugins.connectors.sqlite as sqlite
import msgspec
from plugins.api import ConnectorType, ConnectionReport

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str

class Acme:
    def __init__(self, settings, host):
        inner = msgspec.convert({{"path": settings.path}}, sqlite.CONNECTOR.settings)
        self._inner = sqlite.CONNECTOR.build(inner, host)
    def __getattr__(self, name):
        return getattr(self._inner, name)
    async def tables(self):
        return ["{word}"]

CONNECTOR = ConnectorType(name="acme", settings=Settings, build=Acme)
"""


async def test_connections_of_a_changed_connector_are_built_anew(tenant: Tenant) -> None:
    """As after a change of their settings; other connections keep what they have."""
    data = Path((await tenant.call("GET", "status")).json()["data"])
    drop(data, "acme", CONNECTOR.format(word="one"))
    assert (await done(tenant, "plugins/reload"))["added"] == ["acme"]
    await tenant.apply("{kind: connection, app: a, name: c, connector: acme, settings: {path: c.db}}\n")
    assert "one" in (await tenant.call("GET", "connections/c/tables")).text
    drop(data, "acme", CONNECTOR.format(word="two"))
    told = await done(tenant, "plugins/reload")
    assert (told["connections"], told["problems"]) == (["c"], [])
    assert "two" in (await tenant.call("GET", "connections/c/tables")).text


SCRIPT = """
function execute(data) {
  data = JSON.parse(data)
  console.log("asked", data.name)
  if (data.name === "nobody") throw new Error("there is nobody")
  return {greeting: "hello, " + data.name}
}
"""


async def test_scripts_live_as_modules_do(tenant: Tenant) -> None:
    """A script is applied, tested, versioned and its runs are kept; what it does wrong is told."""

    def script(source: str) -> bytes:
        return json.dumps(
            {"kind": "function", "app": "a", "name": "s", "language": "javascript", "source": source}
        ).encode()

    assert (await tenant.call("POST", "apply", content=script(SCRIPT))).status_code == 200
    tried = await done(tenant, "functions/s/test", data={"name": "you"})
    assert (tried["outcome"], tried["result"]) == ("done", {"greeting": "hello, you"})
    assert [line["text"] for line in tried["log"]] == ["asked you"]
    assert "there is nobody" in (await done(tenant, "functions/s/test", data={"name": "nobody"}))["error"]
    assert (
        await tenant.call("POST", "apply", content=script("function execute() {}; while (true);"))
    ).status_code == 200
    assert (await tenant.status("functions/s"))["version"] == 2
    metrics = (await tenant.call("GET", "../../metrics")).text
    assert "penstock_javascript_processes" in metrics


async def test_a_script_that_cannot_be_read_is_refused_where_it_is_written(tenant: Tenant) -> None:
    """The version before it runs on; nothing of the new one was run."""
    good = {"kind": "function", "app": "a", "name": "s", "language": "javascript", "source": SCRIPT}
    await tenant.apply(json.dumps(good))
    wrong = "publish('nothing is run')\nfunction execute(data) {\n  const a = 1\n  const a = 2\n}"
    answer = await tenant.call("POST", "apply", content=json.dumps(good | {"source": wrong}).encode())
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert detail["path"].endswith("$.source")
    told = "the script cannot be read: SyntaxError: Identifier 'a' has already been declared (line 4)"
    assert detail["reason"].startswith(told)
    assert (await tenant.status("functions/s"))["version"] == 1
    assert (await done(tenant, "functions/s/test", data={"name": "you"}))["outcome"] == "done"


FAILING = """
{kind: authorizer, app: a, name: gate, function: f}
---
kind: route
app: a
name: r
request: {path: /r}
auth: {custom: gate}
backend: {function: {name: f}}
---
kind: route
app: a
name: open
request: {path: /open, function: f}
auth: none
backend: {mock: {body: x}}
"""


async def test_what_fails_is_told_where_it_is_used(tenant: Tenant) -> None:
    """An authorizer and a route say when their function failed last, why, and how often; a test says why at once."""
    await tenant.apply(function() + FAILING)
    assert "last_failure" not in await tenant.status("authorizers/gate")
    assert "last_failure" not in await tenant.status("routes/r")
    assert [(await tenant.get("/r"))[0] for _ in range(2)] == [500, 500]
    told = (await tenant.status("authorizers/gate"))["last_failure"]
    assert (told["function"], told["where"], told["count"]) == ("f", "route r", 2)
    assert "`allow` or `deny`" in told["reason"]
    assert datetime.fromisoformat(told["at"]) <= datetime.now(UTC)
    assert "last_failure" not in await tenant.status("routes/r")
    assert (await tenant.get("/open"))[0] == 500
    told = (await tenant.status("routes/open"))["last_failure"]
    assert (told["function"], told["where"], told["count"]) == ("f", "request mapping", 1)
    tried = await done(tenant, "routes/open/test")
    assert tried["reasons"] == [f"function f: {told['reason']}"]
    assert (await tenant.status("routes/open"))["last_failure"]["count"] == 1


@pytest.mark.parametrize("deploy", [True, False])
async def test_a_script_without_what_is_called_is_refused_where_it_is_written(tenant: Tenant, *, deploy: bool) -> None:
    """By apply, by a plan, and where it is saved, as a draft too: with what to write, and before any call."""
    script = {"kind": "function", "app": "a", "name": "s", "language": "javascript", "source": "function main() {}"}
    written = json.dumps(script | {"deploy": deploy}).encode()
    for method, path in (("POST", "apply"), ("POST", "apply?plan=true"), ("PUT", "functions/s")):
        answer = await tenant.call(method, path, content=written)
        assert answer.status_code == 400, answer.text
        (detail,) = answer.json()["details"]
        assert detail["path"].endswith("$.source")
        assert "no function execute(data)" in detail["reason"]
    assert (await tenant.call("GET", "functions/s")).status_code == 404
