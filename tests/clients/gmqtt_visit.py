"""One visit of gmqtt: takes what is asked as JSON, prints what it saw as JSON. Runs where gmqtt is installed."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

import gmqtt

_PATIENCE = 15.0


async def visit(asked: dict[str, Any]) -> dict[str, Any]:
    """As `tests.clients.visits.Client.visit`."""
    loop = asyncio.get_running_loop()
    present, subscribed = loop.create_future(), loop.create_future()
    heard: asyncio.Queue[str] = asyncio.Queue()
    expiry = {"session_expiry_interval": 3600 if asked["kept"] else 0} if asked["level"] == 5 else {}
    client = gmqtt.Client(asked["client_id"], clean_session=not asked["kept"], **expiry)
    client.on_connect = lambda _client, flags, *_: present.set_result(bool(flags & 1))
    client.on_subscribe = lambda _client, _id, granted, _properties: subscribed.set_result(list(granted))

    async def on_message(_client: Any, _topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        heard.put_nowait(payload.decode())
        return 0

    client.on_message = on_message
    client.set_auth_credentials(asked["username"], asked["password"])
    context = ssl.create_default_context(cafile=asked["authority"]) if asked["authority"] else False
    await client.connect(asked["host"], asked["port"], ssl=context, version=asked["level"], keepalive=30)
    was_present = await present
    if asked["subscribe"]:
        client.subscribe(asked["topic"], qos=2)
        granted = await subscribed
        if granted != [2]:
            raise RuntimeError(f"granted: {granted}")
    for payload, qos in asked["publish"]:
        client.publish(asked["topic"], payload, qos=qos)
    messages = [await heard.get() for _ in range(asked["hear"])]
    await client.disconnect()
    return {"present": was_present, "heard": messages}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(asyncio.wait_for(visit(json.loads(sys.argv[1])), _PATIENCE))))  # noqa: T201 - what it is for
