"""`penstock function` and `penstock plugins`: what is asked of the control API, and what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.manifest import load
from daemon.function_templates import TEMPLATES
from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl

RUN = {
    "run": 7, "at": "2024-01-02T03:04:05.678+00:00", "version": 2, "caller": "a", "called_by": "route lots",
    "items": 1, "failed": 0, "waited_milliseconds": 0.0, "milliseconds": 1.5,
    "outcome": "failed", "reason": "no such thing", "result_bytes": 0, "lines": 1,
    "log": [{"milliseconds": 0.25, "text": "asked you"}], "left_out": 3,
}  # fmt: skip
FAILURE = {"plugin": "bad", "file": "/p/bad.py", "line": 3, "reason": "ValueError: no", "kept": True}
PLUGINS = [
    {"name": "sqlite", "origin": "built-in", "file": "s.py", "state": "loaded", "declares": "connector sqlite"},
    {"name": "bad", "origin": "file", "file": "/p/bad.py", "state": "kept", "declares": "function", "failure": FAILURE},
]


def asked(control: FakeControl) -> object:
    return json.loads(control.requests[-1].body)


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_is_a_manifest_that_loads(penstock: Penstock, tmp_path: Path, template: str) -> None:
    """Under the name and the app that were asked for; nothing that is there is overwritten."""
    ended = penstock("function", "new", "start", "--template", template, "--app", "mine", "--out", "there")
    assert ended.code == 0
    assert str(Path("there/start.yaml")) in ended.out
    documents = load((tmp_path / "there/start.yaml").read_text())
    assert {document.resource.app for document in documents} == {"mine"}  # type: ignore[union-attr]
    assert "function start" in [str(document.identity) for document in documents]
    again = penstock("function", "new", "start", "--template", template, "--out", "there")
    assert again.code == 1
    assert "already there" in again.err


@pytest.mark.parametrize("name", ["a/b", "../up", "_hidden", ""])
def test_a_name_that_no_function_can_have_is_refused(penstock: Penstock, tmp_path: Path, name: str) -> None:
    """Nothing is written, least of all elsewhere; the reason says what names are."""
    ended = penstock("function", "new", name, "--out", "there")
    assert ended.code == 2
    assert "a name is letters, digits" in ended.err
    assert not (tmp_path / "there").exists()


def test_a_test_shows_log_result_and_time(penstock: Penstock, control: FakeControl, tmp_path: Path) -> None:
    """The result alone on standard output but for the log; a failure is the command's too."""
    (tmp_path / "data.json").write_text('{"name": "you"}')
    done = {"outcome": "done", "result": {"a": 1}, "error": "", "milliseconds": 1.5, "log": [], "left_out": 0}
    control.on("POST", "functions/f/test", done)
    ended = penstock("function", "test", "f", "--data", "data.json")
    assert ended == (0, '{\n  "a": 1\n}\n', "function f: done in 1.500 ms\n")
    assert asked(control) == {"data": {"name": "you"}}
    control.on("POST", "functions/f/test", done | {"outcome": "timed out", "error": "it took long", "log": RUN["log"]})
    ended = penstock("function", "test", "f")
    assert ended.code == 1
    assert "0.250 ms  asked you" in ended.out
    assert ended.err.endswith("penstock: function f: it took long\n")
    assert asked(control) == {}
    (tmp_path / "bad.json").write_text("{")
    assert penstock("function", "test", "f", "--data", "bad.json").code == 2
    assert "cannot be read" in penstock("function", "test", "f", "--data", "none.json").err


@pytest.mark.parametrize("name", ["a/b", ""])
@pytest.mark.parametrize("verb", ["test", "deploy", "versions", "runs"])
def test_a_name_that_nothing_can_have_is_not_asked_for(
    penstock: Penstock, control: FakeControl, verb: str, name: str
) -> None:
    """It is told what names are, and not what a server says of a path that is another one."""
    told = f"penstock: no function is called {name!r}: a name is letters, digits, `.`, `_` and `-`\n"
    assert penstock("function", verb, name) == (2, "", told)
    assert control.requests == []


def test_versions_are_deployed_shown_and_switched(penstock: Penstock, control: FakeControl) -> None:
    """Each says which version runs now."""
    running = {"function": "f", "version": 2, "deployed": "now", "remark": ""}
    control.on("POST", "functions/f/deploy", running)
    assert penstock("function", "deploy", "f", "-m", "why") == (0, "function f: version 2 runs\n", "")
    assert asked(control) == {"remark": "why"}
    control.on("POST", "functions/f/deploy", running | {"problem": "it is disabled (`enabled: false`)"})
    deployed = "function f: version 2 is deployed, and does not run: it is disabled (`enabled: false`)\n"
    assert penstock("function", "deploy", "f").out == deployed
    control.on("POST", "functions/f/switch", running)
    assert penstock("function", "switch", "f", "2").out == "function f: version 2 runs\n"
    assert asked(control) == {"version": 2}
    control.on("GET", "functions/f/versions", {"items": [{**running, "running": True}]})
    assert "yes" in penstock("function", "versions", "f").out
    control.on("GET", "functions/f/versions", {"items": []})
    assert "was never deployed" in penstock("function", "versions", "f").err


def test_runs_and_their_logs_are_shown(penstock: Penstock, control: FakeControl) -> None:
    """Runs as a table; logs run by run, the oldest first, with what was left out."""
    control.on("GET", "functions/f/runs?failed=true", {"items": [RUN]})
    out = penstock("function", "runs", "f", "--failed").out
    assert "no such thing" in out
    assert "CALLED BY" in out
    assert "route lots" in out
    assert "WAITED" not in out
    control.on("GET", "functions/f/runs", {"items": [RUN, {**RUN, "waited_milliseconds": 12.5}]})
    assert "12.5" in penstock("function", "runs", "f").out
    control.on("GET", "functions/f/runs?log=true", {"items": [RUN, {**RUN, "run": 6}]})
    out = penstock("function", "logs", "f").out
    assert out.index("run 6") < out.index("run 7")
    assert "asked you" in out
    assert "(3 more lines were left out)" in out
    control.on("GET", "functions/f/runs/7", RUN)
    assert penstock("function", "logs", "f", "--run", "7").out.count("run 7") == 1
    assert json.loads(penstock("function", "logs", "f", "--run", "7", "-o", "json").out) == [RUN]
    assert penstock("function", "logs", "f", "--run", "7", "-o", "yaml").out.startswith("run: 7\n")


def test_runs_of_what_is_saved_and_no_runs_are_told(penstock: Penstock, control: FakeControl) -> None:
    """A run for a test has no version; none that failed is another matter than none at all."""
    control.on("GET", "functions/f/runs", {"items": [{**RUN, "version": 0}]})
    assert "saved" in penstock("function", "runs", "f").out
    control.on("GET", "functions/f/runs?log=true", {"items": [{**RUN, "version": 0}]})
    assert "run 7 as saved failed" in penstock("function", "logs", "f").out
    control.on("GET", "functions/f/runs", {"items": []})
    assert penstock("function", "runs", "f").err == "function f was not called\n"
    control.on("GET", "functions/f/runs?failed=true", {"items": []})
    assert penstock("function", "runs", "f", "--failed").err == "no run of function f failed\n"


def test_plugins_are_shown(penstock: Penstock, control: FakeControl) -> None:
    """What each declares, its state, and what is wrong with it: by `get plugins` as by `plugins list`."""
    control.on("GET", "plugins", {"items": PLUGINS})
    for command in (("get", "plugins"), ("plugins", "list")):
        out = penstock(*command).out
        assert "connector sqlite" in out
        assert "kept" in out
        assert "/p/bad.py:3: ValueError: no" in out
    assert json.loads(penstock("get", "plugin", "bad", "-o", "json").out) == [PLUGINS[1]]
    assert penstock("get", "plugin", "bad", "-o", "yaml").out.startswith("name: bad\norigin: file\n")
    assert penstock("get", "plugin", "none").err == (
        "penstock: there is no plugin none; `penstock get plugins` shows those there are\n"
    )


def test_a_reload_tells_what_it_brought(penstock: Penstock, control: FakeControl) -> None:
    """What came, changed and went; a module that fails is a failure of the command."""
    told: dict[str, object] = {
        "added": [], "changed": ["good"], "removed": [], "failed": [], "functions": ["f"], "connections": [],
        "problems": [], "folder": "/p", "folder_is_there": True,
    }  # fmt: skip
    control.on("POST", "plugins/reload", told)
    assert penstock("plugins", "reload") == (0, "changed: good\nfunctions: f\n", "")
    worse = {"changed": ["good", "bad"], "added": ["new"], "problems": ["function g cannot run: why"]}
    new = FAILURE | {"plugin": "new", "file": "/p/new.py", "line": 0, "kept": False}
    control.on("POST", "plugins/reload", told | worse | {"failed": [FAILURE, new]})
    ended = penstock("plugins", "reload")
    assert (ended.code, ended.out) == (1, "changed: good\nfunctions: f\n")
    assert ended.err == (
        "penstock: 2 plugins cannot be used: mend what is wrong, and run penstock plugins reload\n"
        "  plugin bad: /p/bad.py:3: ValueError: no; it serves on as it was before\n"
        "  plugin new: /p/new.py: ValueError: no\n"
        "  function g cannot run: why\n"
    )
    nothing = told | {"changed": [], "functions": []}
    control.on("POST", "plugins/reload", nothing)
    assert penstock("plugins", "reload") == (0, "nothing has changed in /p\n", "")
    control.on("POST", "plugins/reload", nothing | {"folder_is_there": False})
    ended = penstock("plugins", "reload")
    assert (ended.code, ended.err) == (1, "penstock: there is no folder /p: make it, and drop modules into it\n")
