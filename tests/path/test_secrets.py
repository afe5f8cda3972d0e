"""Secrets stay secret: whatever is called and whatever fails, none is in a log, an answer, a measure or a document."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trustme

from tests.fakes import signing
from tests.fakes.daemon import ChildDaemon
from tests.fakes.plain_http import NO_TLS
from tests.path.client import connack_code

# Each can be told from everything else, in whatever form it is written.
SECRETS = {
    "app": "Zq-app-secret-7731",
    "code": "Zq-app-code-4402",
    "second code": "Zq-app-code-9915",
    "device": "Zq-device-secret-6120",
    "password": "Zq pass/word 8854",
    "access key": "Zq-access-secret-2093",
    "signature key": "Zq-signature-secret-5577",
    "connection": "Zq-connection-pass-3318",
    "url": "Zq-url-password-1246",
    "environment": "Zq-from-environment-9071",
    "file": "Zq-from-a-file-4689",
}
WRONG = "Zq-wrong-guess-7007"

MANIFEST = f"""
kind: app
name: shop
key: shop-key
secret: {SECRETS["app"]}
app_codes: [{SECRETS["code"]}, {SECRETS["second code"]}]
---
kind: app
name: named
key: named-key
secret: {{env: SECRET_OF_NAMED}}
app_codes: [{{file: CODE_FILE}}]
---
kind: app
name: made
---
kind: product
app: shop
name: sensor
protocol: mqtt
services: [{{name: s, properties: [{{name: n, type: integer}}]}}]
---
kind: device
app: shop
product: sensor
name: one
secret: {SECRETS["device"]}
---
kind: user
name: ada
password: {SECRETS["password"]}
access_keys: [{{key: ada-ak, secret: {SECRETS["access key"]}}}]
---
kind: signature_key
app: shop
name: backends
key: backend-key
secret: {SECRETS["signature key"]}
---
kind: connection
app: shop
name: parts
connector: postgres
settings: {{host: 127.0.0.1, port: 1, database: d, user: u, password: {SECRETS["connection"]}, connect_timeout: 1}}
---
kind: connection
app: shop
name: whole
connector: postgres
settings: {{url: "postgresql://u:{SECRETS["url"]}@127.0.0.1:1/d", connect_timeout: 1}}
---
kind: connection
app: shop
name: db
connector: sqlite
settings: {{path: shop.db}}
---
kind: route
app: shop
name: any
request: {{path: "/any/{{what}}", method: ANY}}
auth: {{app: [signature, appcode, secret, basic], appcode_over_http: true}}
backend: {{mock: {{body: ok}}}}
---
kind: route
app: shop
name: people
request: {{path: /people, method: ANY}}
auth: iam
backend: {{mock: {{body: ok}}}}
---
kind: route
app: shop
name: broken
request: {{path: /broken}}
auth: none
backend: {{data: {{connection: parts, sql: "SELECT 1 AS n"}}}}
---
kind: route
app: shop
name: broken-too
request: {{path: /broken-too}}
auth: none
backend: {{data: {{connection: whole, sql: "SELECT 1 AS n"}}}}
"""
KINDS = (
    "apps",
    "devices",
    "users",
    "signature_keys",
    "connections",
    "routes",
    "certificates",
    "api_groups",
    "products",
)


def forms(secret: str) -> set[str]:
    """A secret as it may turn up: plain, percent-encoded, in Base64, as JSON and in hexadecimal."""
    raw = secret.encode()
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        base64.b64encode(raw).decode(),
        json.dumps(secret),
        raw.hex(),
    }


class Exposed:
    """All that was said, and by whom."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def hear(self, where: str, answer: httpx.Response) -> httpx.Response:
        self.texts.append((where, f"{answer.headers}\n{answer.text}"))
        return answer

    def leaks(self, secrets: dict[str, set[str]]) -> list[tuple[str, str]]:
        return [
            (name, where)
            for name, written in secrets.items()
            for where, text in self.texts
            if any(form in text for form in written)
        ]


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    made = trustme.CA().issue_cert("shop.example.com")
    return made.cert_chain_pems[0].bytes().decode(), made.private_key_pem.bytes().decode()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildDaemon]:
    folder = tmp_path_factory.mktemp("secrets")
    environment = {
        "SECRET_OF_NAMED": SECRETS["environment"],
        "PENSTOCK_LOGGING__LEVEL": "debug",
        "PENSTOCK_GATEWAY__ACCESS_LOG__LINES": "all",
        "PENSTOCK_GATEWAY__ACCESS_LOG__QUERY": "true",
    }
    (folder / "data").mkdir()
    (folder / "data" / "code.txt").write_text(SECRETS["file"])
    with ChildDaemon(folder / "data", **environment) as one:
        yield one


def exercise(daemon: ChildDaemon, heard: Exposed) -> list[str]:
    """Every way of showing a secret, right, wrong and broken; returns what was generated on the way."""
    assert daemon.note is not None
    gateway = daemon.note.gateway
    ways: list[dict[str, Any]] = []
    for key, secret in (("shop-key", SECRETS["app"]), ("named-key", SECRETS["environment"]), ("shop-key", WRONG)):
        shown = base64.b64encode(f"{key}:{secret}".encode()).decode()
        ways += [
            {"Authorization": f"Basic {shown}"},
            {"Authorization": f"Basic {shown}", "X-Apig-Mode": "debug"},
            {"Authorization": f"Basic !{shown}"},
            {"Authorization": f"Bearer {secret}"},
            {"X-HW-ID": key, "X-HW-AppKey": secret},
            {"X-HW-ID": secret, "X-HW-AppKey": key},
            {"X-Auth-Token": secret},
        ]
    ways += [{"X-Apig-AppCode": code} for code in (SECRETS["code"], SECRETS["second code"], SECRETS["file"], WRONG)]
    with daemon.gateway() as client:
        for headers in ways:
            for path in ("/any/1", "/people", "/nowhere", "/any/%zz"):
                heard.hear(path, client.get(path, headers=headers))
        heard.hear("too long", client.get("/any/1", headers={"X-Apig-AppCode": SECRETS["code"], "X": "a" * 40_000}))
        for path in ("/broken", "/broken-too"):
            assert heard.hear(path, client.get(path, headers=ways[0])).status_code >= 500
    for key, secret in (("shop-key", SECRETS["app"]), ("ada-ak", SECRETS["access key"]), ("ada-ak", WRONG)):
        for path in ("/any/1", "/people"):
            sending = signing.signed(gateway, "POST", path, [("a", "1")], body=b"{}", key=key, secret=secret)
            status, text = signing.send(gateway, sending)
            heard.texts.append((path, f"{status} {text}"))
    for secret in (SECRETS["device"], WRONG):
        connack_code(daemon.mqtt(), "one", "sensor/one", secret)
    connack_code(daemon.mqtt(), "app", "shop-key", SECRETS["app"])
    return log_in(daemon, heard)


def log_in(daemon: ChildDaemon, heard: Exposed) -> list[str]:
    assert daemon.note is not None
    with httpx.Client(verify=NO_TLS, base_url=f"http://{daemon.note.control}/api/v1/", timeout=30) as client:
        told = client.post("tokens", json={"user": "ada", "password": SECRETS["password"]})
        token: str = told.json()["token"]
        heard.hear("log-in", client.post("tokens", json={"user": "ada", "password": WRONG}))
        heard.hear("log-in", client.post("tokens", json={"user": "ada", "password": [SECRETS["password"]]}))
        heard.hear("log-in", client.post("tokens", content=SECRETS["password"].encode()))
        for headers in ({"X-Auth-Token": token}, {"Authorization": f"Bearer {SECRETS['code']}"}):
            heard.hear("control", client.get("apps", headers=headers))
    with daemon.gateway() as client:
        assert heard.hear("people", client.get("/people", headers={"X-Auth-Token": token})).text == "ok"
    return [token]


def ask_everything(daemon: ChildDaemon, heard: Exposed) -> None:
    """All that the control API shows of them, and what it says when they are written wrong."""
    with daemon.control() as client:
        for kind in KINDS:
            listed = heard.hear(kind, client.get(f"/api/v1/{kind}"))
            assert listed.status_code == 200, listed.text
            for one in listed.json()["items"]:
                name = f"{one['product']}/{one['name']}" if kind == "devices" else one["name"]
                heard.hear(name, client.get(f"/api/v1/{kind}/{name}"))
        for path in ("status", "tree", "top", "openapi.json", "api_groups/shop/openapi", "settings"):
            heard.hear(path, client.get(f"/api/v1/{path}"))
        heard.hear("metrics", client.get("/metrics"))
        for broken in ("nonsense: 1", "secret: [1]", "app_codes: 1", "password: {env: NONE}"):
            heard.hear(
                "apply", client.post("/api/v1/apply", content=f"{MANIFEST}---\nkind: app\nname: x\n{broken}\n".encode())
            )
        plan = {"plan": "true", "allow_unreachable": "true"}
        heard.hear("plan", client.post("/api/v1/apply", content=MANIFEST.replace("Zq", "Zz").encode(), params=plan))
        heard.hear("connection", client.post("/api/v1/connections/parts/test"))
        heard.hear("connection", client.post("/api/v1/connections/whole/test"))
    for arguments in (("get", "app", "shop"), ("get", "user", "ada"), ("get", "connections"), ("status",), ("doctor",)):
        ended = daemon.penstock(*arguments)
        heard.texts.append((" ".join(arguments), ended.stdout + ended.stderr))


def at_rest(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The daemon's own files; those that an operator wrote, and that hold what is to be shown to clients, aside."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in {"code.txt", "daemon.json", "instance.key"}:
            yield str(path.relative_to(folder)), path.read_bytes()


def test_no_secret_is_told(daemon: ChildDaemon, certificate: tuple[str, str]) -> None:
    """Of every kind, in every call that shows it, right or wrong: not in any line of the log, nor in any answer."""
    chain, private_key = certificate
    resource = {"kind": "certificate", "app": "shop", "name": "own", "chain": chain, "private_key": private_key}
    manifest = MANIFEST.replace("CODE_FILE", str(daemon.data / "code.txt"))
    applied = daemon.apply(f"{manifest}---\n{json.dumps(resource)}\n", allow_unreachable="true")
    generated = [one["value"] for one in applied["generated"] if one["field"] != "key"]
    assert generated
    heard = Exposed()
    generated += exercise(daemon, heard)
    ask_everything(daemon, heard)
    assert daemon.note is not None
    time.sleep(0.3)
    log = daemon.log.read_text()
    # That all lines are there, so that there is something to be found in.
    assert log.count("Call answered") > 100
    heard.texts.append(("log", log))
    heard.texts += [(name, data.decode("latin-1")) for name, data in at_rest(daemon.data)]
    secrets = {name: forms(secret) for name, secret in (SECRETS | {"wrong": WRONG}).items()}
    secrets |= {f"generated {number}": {secret} for number, secret in enumerate(generated)}
    secrets["private key"] = set(re.findall(r"^[A-Za-z0-9+/=]{40,}$", private_key, re.MULTILINE))
    secrets["token of the daemon"] = {daemon.note.token}
    assert secrets["private key"]
    assert heard.leaks(secrets) == []
