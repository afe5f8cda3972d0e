"""The control API around an instance with a fake engine."""

from __future__ import annotations

from typing import Any

import pytest
from quart.typing import TestClientProtocol
from quart_trio import QuartTrio

from daemon.control.app import create_app
from daemon.control.context import About, Control
from tests.daemon.conftest import Instance

TOKEN = "token-of-the-test"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
MAX_BODY_BYTES = 100_000


class Api:
    """A client with the token; `call` returns status, decoded body and headers."""

    def __init__(self, app: QuartTrio) -> None:
        self.app = app
        self.client: TestClientProtocol = app.test_client()

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any, Any]:
        headers = {**AUTHORIZED, **more.pop("headers", {})}
        response = await self.client.open(path, method=method, headers=headers, **more)
        data = await response.get_data(as_text=False)
        is_json = response.content_type == "application/json"
        return response.status_code, (await response.get_json()) if is_json else data, response.headers

    async def apply(self, text: bytes, query: str = "", **headers: str) -> tuple[int, Any, Any]:
        headers = {"Content-Type": "application/yaml", **headers}
        return await self.call("POST", f"/api/v1/apply{query}", data=text, headers=headers)


@pytest.fixture
def control(instance: Instance) -> Control:
    about = About(instance="id", version="1.2.3", data=instance.folder, settings={"mqtt.listen.port": 0})
    return Control(instance.engine, instance.service, about, TOKEN, MAX_BODY_BYTES)


@pytest.fixture
def api(control: Control) -> Api:
    return Api(create_app(control))
