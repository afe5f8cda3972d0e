"""Routes that the gateway is measured with."""

from __future__ import annotations

import json

KEY = "bench-key"
SECRET = "bench-secret"  # noqa: S105 - of an app that lives as long as the benchmark
CODE = "bench-code-0123456789"
CHANGING = "changing"

_APP = f"""
kind: app
name: bench
key: {KEY}
secret: {SECRET}
app_codes: [{CODE}]
"""

_MOCK = """---
kind: route
app: bench
name: {name}
request: {{path: "{path}"}}
auth: {auth}
backend: {{mock: {{body: {{answer: {answer}}}}}}}
"""


def mock(name: str = "mock", *, path: str = "", auth: str = "none", answer: str = "ok") -> str:
    """A route that gives a fixed answer; its path is its name, unless another is given."""
    return _MOCK.format(name=name, path=path or f"/{name}", auth=auth, answer=answer)


def callers() -> str:
    """Routes with the same answer to everybody, to whom signs, and to whom shows an AppCode."""
    return (
        _APP
        + mock()
        + mock("signed", auth="{app: [signature]}")
        + mock("coded", auth="{app: [appcode], appcode_over_http: true}")
    )


def many(count: int) -> str:
    """So many routes, every second one with a parameter in its path; `paths_of` says how they are called."""
    return _APP + "".join(mock(f"route-{number}", path=_path(number)) for number in range(count))


def paths_of(count: int) -> list[str]:
    """A path for each of `many` routes."""
    return [_path(number).replace("{order}", str(number)) for number in range(count)]


def data(connector: str, settings: dict[str, str], sql: str) -> str:
    """A route that runs one statement with the parameter of its path."""
    return f"""{_APP}
---
kind: connection
app: bench
name: lots
connector: {connector}
settings: {json.dumps(settings)}
---
kind: route
app: bench
name: lot
request: {{path: "/lots/{{deviceId}}"}}
auth: none
backend: {{data: {{connection: lots, sql: {json.dumps(sql)}}}}}
"""


def changing(number: int) -> str:
    """The route that is changed while others are called, in its version of that number; its answer tells which."""
    return mock(CHANGING, answer=f"version-{number}")


def _path(number: int) -> str:
    return f"/orders/{{order}}/part-{number}" if number % 2 else f"/shop/part-{number}"
