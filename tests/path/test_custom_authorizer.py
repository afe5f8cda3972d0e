"""The custom authorizer of the platform that this follows, with curl, against a daemon of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from textwrap import indent

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.fakes.platform_scripts import AUTHORIZERS

MANIFEST = """
kind: app
name: roma
app_codes: [roma-code]
---
kind: function
app: roma
name: front
language: javascript
source: |
{source}
---
kind: authorizer
app: roma
name: gate
function: front
---
kind: authorizer
app: roma
name: remembering
function: front
ttl: 60
identities: [{{in: header, name: x-auth}}]
---
kind: function
app: roma
name: echo
language: javascript
source: |
  function execute(data) {{
    const call = JSON.parse(data)
    const body = {{who: call.parameters.who, auth: call.authorizer}}
    return {{status: 201, headers: {{'X-Kind': call.caller.kind}}, body}}
  }}
---
kind: route
app: roma
name: test
auth: {{custom: gate}}
request: {{path: /test}}
backend: {{mock: {{body: "ROMA TEST!"}}}}
---
kind: backend
app: roma
name: deployed
path: /deployed
method: POST
inputs: [{{name: who, in: query, required: true}}]
function: {{name: echo}}
---
kind: route
app: roma
name: mapped
auth: {{custom: remembering}}
request: {{path: /mapped}}
backend: {{function: {{name: echo, parameters: [{{name: who, system: authorizer.user_name}}]}}}}
"""


def curl(daemon: ChildDaemon, path: str, *headers: str) -> tuple[int, str]:
    assert daemon.note is not None
    told = [part for header in headers for part in ("-H", header)]
    command = ["curl", "-s", "-w", "\n%{http_code}", *told, f"http://{daemon.note.gateway}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def runs(daemon: ChildDaemon, name: str) -> int:
    """How often a function was called since the start."""
    calls: int = daemon.status(f"functions/{name}")["calls"]
    return calls


@pytest.fixture(scope="module", params=AUTHORIZERS)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    """An instance with the script as it is."""
    with ChildDaemon(tmp_path_factory.mktemp("authorizer") / "data") as running:
        running.apply(MANIFEST.format(source=indent(request.param, "  ")))
        yield running
        assert running.stop() == 0


def test_only_who_shows_the_token_gets_the_answer(daemon: ChildDaemon) -> None:
    """Others get 401 with the code and the words of the platform."""
    assert curl(daemon, "/test", "x-auth: user1:xxxx") == (200, "ROMA TEST!")
    for headers in ((), ("x-auth: user2:xxxx",), ("X-Auth: USER1:XXXX",)):
        status, body = curl(daemon, "/test", *headers)
        told = json.loads(body)
        assert status == 401
        assert told.pop("request_id")
        assert told == {
            "error_msg": "Incorrect authentication information: frontend authorizer",
            "error_code": "APIC.0305",
        }


def test_the_function_runs_once_for_an_identity_and_its_context_reaches_the_backend(daemon: ChildDaemon) -> None:
    """With `ttl: 60` and an identity, whatever else differs; what it said arrives as it is mapped."""
    before = runs(daemon, "front")
    for number in range(5):
        status, body = curl(daemon, f"/mapped?who=root&n={number}", "x-auth: user1:xxxx")
        assert (status, json.loads(body)) == (201, {"who": "user1", "auth": {"user_name": "user1"}})
    for _ in range(3):
        assert curl(daemon, "/mapped", "x-auth: user2")[0] == 401
    assert curl(daemon, "/mapped")[0] == 401
    assert runs(daemon, "front") - before == 2


def test_a_new_version_of_the_function_decides_at_once(daemon: ChildDaemon) -> None:
    """What the one before had said is forgotten with it."""
    assert curl(daemon, "/mapped", "x-auth: user1:xxxx")[0] == 201
    deny = "function execute(data) { return {status: 'deny'} }"
    changed = {"kind": "function", "app": "roma", "name": "front", "language": "javascript", "source": deny}
    before = daemon.ask("functions/front")
    daemon.apply(json.dumps(changed))
    assert curl(daemon, "/mapped", "x-auth: user1:xxxx")[0] == 401
    daemon.apply(json.dumps(changed | {"source": before["source"]}))
    assert curl(daemon, "/mapped", "x-auth: user1:xxxx")[0] == 201


def test_a_route_with_a_function_is_tried_out_by_its_owner(daemon: ChildDaemon) -> None:
    """`penstock route test` calls the function of the backend for real."""
    tried = daemon.penstock("route", "test", "mapped")
    assert tried.returncode == 0, tried.stderr
    assert "201" in tried.stdout


def test_a_backend_that_is_a_function_is_tested_deployed_and_published(daemon: ChildDaemon) -> None:
    """As any other; its route asks for an app, as routes do."""
    tried = daemon.penstock("backend", "test", "deployed", "-i", "who=ada", "-o", "json")
    assert tried.returncode == 0, tried.stderr
    answer = json.loads(tried.stdout)["answer"]
    assert (answer["status"], json.loads(answer["body"])) == (201, {"who": "ada", "auth": {}})
    for verb in ("deploy", "publish"):
        done = daemon.penstock("backend", verb, "deployed")
        assert done.returncode == 0, done.stderr
    with daemon.gateway(headers={"X-Apig-AppCode": "roma-code"}) as client:
        published = client.post("/deployed?who=ada")
    assert (published.status_code, published.json()) == (201, {"who": "ada", "auth": {}})


def test_a_back_authorizer_in_front_is_refused(daemon: ChildDaemon) -> None:
    """By check, with the reason; so is a front one behind, and one of an app that does not share it."""
    wrong = """
kind: authorizer
app: roma
name: behind
type: back
function: front
---
kind: route
app: roma
name: wrong
auth: {custom: behind}
backend_authorizer: gate
request: {path: /wrong}
backend: {mock: {body: x}}
---
kind: app
name: stranger
---
kind: route
app: stranger
name: foreign
auth: {custom: gate}
request: {path: /foreign}
backend: {function: {name: front}}
"""
    file = daemon.data.parent / "wrong.yaml"
    file.write_text(wrong)
    checked = daemon.penstock("apply", "-f", str(file))
    assert checked.returncode != 0
    for reason in (
        "authorizer behind is of type back",
        "authorizer gate is of type front",
        "authorizer gate belongs to app roma",
        "function front belongs to app roma",
    ):
        assert reason in checked.stderr, checked.stderr
