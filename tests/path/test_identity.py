"""Real callers, signing as the field's SDK does and logging in as users, against a whole instance."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.fakes import shop
from tests.fakes.house import Tenant, living
from tests.fakes.plain_http import NO_TLS

OTHERS = """
kind: app
name: guest
key: guest-key
secret: guest-secret-1
app_codes: [guest-code]
---
kind: access_list
name: nobody
app: shop
action: deny
addresses: [127.0.0.0/8]
"""
CODES = """
kind: route
name: codes
app: shop
request: {path: /codes}
auth: {app: [appcode, basic, secret]}
backend: {mock: {body: codes}}
"""
MANIFEST = shop.manifest(shop.APP, shop.USER, shop.SIGNED_ROUTES, CODES, OTHERS)


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with living(tmp_path / "data") as one:
        assert await one.apply(MANIFEST) == []
        yield one


async def send(
    tenant: Tenant, method: str, path: str, query: list[tuple[str, Any]] | None = None, **more: Any
) -> tuple[int, str]:
    """What the gateway answers to a request that the SDK signed (see `shop.ask`)."""
    address = tenant.house.addresses()["gateway"]
    return await trio.to_thread.run_sync(partial(shop.ask, address, method, path, query, **more))


QUERIES: list[tuple[str, list[tuple[str, Any]]]] = [
    ("/signed/1", [("b", "2"), ("a", "1")]),
    ("/signed/1", [("k", "2"), ("k", "1"), ("k", "")]),
    ("/signed/1", [("k", ["b", "a", "c"])]),
    ("/signed/1", [("empty", "")]),
    ("/signed/1", [("名", "值 +&=/?#"), ("z", "~!*'()"), ("é", "ü")]),
    ("/signed/1", [("flag", True), ("n", 3)]),
    ("/signed/caf%C3%A9%20x", [("a-", "0"), ("a", "1")]),
    ("/signed/a%252Fb", []),
]
HEADERS = {"Content-Type": "application/json", "X-Order": "  é 7 ", "x-custom-header": "a,b;c=d"}
MOVED: list[dict[str, Any]] = [
    {"method": "PUT"},
    {"uri": "/signed/2?a=1"},
    {"uri": "/signed/1?a=2"},
    {"uri": "/signed/1"},
    {"uri": "/signed/1?a=1&a=1"},
    {"body": b"another"},
    {"body": b""},
]


async def test_what_the_sdk_signs(tenant: Tenant) -> None:
    """Every method; repeated, empty and non-ASCII values; bodies and further headers: the signature is right."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        assert await send(tenant, method, "/signed/1") == (200, "" if method == "HEAD" else "signed")
        for path, query in QUERIES:
            expected = (200, "" if method == "HEAD" else "signed")
            assert await send(tenant, method, path, query) == expected, (method, path, query)
    for body in (b'{"a": 1}', "naïve".encode(), b"x" * 300_000, b"\x00\xff"):
        assert await send(tenant, "POST", "/signed/1", headers=HEADERS, body=body) == (200, "signed")


async def test_a_moved_signature(tenant: Tenant) -> None:
    """A signature for one method, path, query and body opens no other."""
    for sent in MOVED:
        answer = await send(tenant, "POST", "/signed/1", [("a", "1")], body=b"body", sent=sent)
        assert answer == (401, "APIC.0303"), sent


async def test_wrong_signers(tenant: Tenant) -> None:
    """An unknown key, a wrong secret and an old date are 401; another app without a grant is 403."""
    assert await send(tenant, "GET", "/signed/1", key="nobody") == (401, "APIC.0303")
    assert await send(tenant, "GET", "/signed/1", secret="wrong") == (401, "APIC.0303")
    old = {"X-Sdk-Date": "20191115T033655Z"}
    assert await send(tenant, "GET", "/signed/1", headers=old) == (401, "APIC.0303")
    guest = {"key": "guest-key", "secret": "guest-secret-1"}
    assert await send(tenant, "GET", "/signed/1", **guest) == (403, "APIC.0304")
    await tenant.apply("{kind: grant, name: g, app: shop, to: guest, routes: [signed]}")
    assert await send(tenant, "GET", "/signed/1", **guest) == (200, "signed")
    assert (await tenant.call("DELETE", "grants/g")).status_code == 204
    assert await send(tenant, "GET", "/signed/1", **guest) == (403, "APIC.0304")


async def test_unsigned_payload(tenant: Tenant) -> None:
    """The SDK leaves bodies that are not JSON unsigned; only a route that allows it takes them."""
    headers = {"Content-Type": "text/plain"}
    assert await send(tenant, "POST", "/signed/1", headers=headers, body=b"text") == (401, "APIC.0303")
    assert await send(tenant, "POST", "/unsigned", headers=headers, body=b"text") == (200, "unsigned")
    # Without a body there is nothing that could be left out.
    assert await send(tenant, "POST", "/signed/1", headers=headers) == (200, "signed")
    assert await send(tenant, "POST", "/unsigned", headers=headers) == (200, "unsigned")


async def test_users(tenant: Tenant) -> None:
    """A user signs with an access key, or logs in and shows a token; another password ends it."""
    assert await send(tenant, "POST", "/people", key="ada-ak", secret="ada-secret-1", body=b"x") == (200, "people")
    assert await send(tenant, "GET", "/people") == (401, "APIC.0301")
    token = await log_in(tenant, "correct horse")
    assert await people(tenant, token) == 200
    assert await people(tenant, token + "x") == 401
    shown = (await tenant.call("GET", "users/ada")).text
    assert "horse" not in shown
    assert "argon2" not in shown
    assert "ada-secret" not in shown
    await tenant.apply("{kind: user, name: ada, password: battery staple, access_keys: [{key: ada-ak}]}")
    assert await people(tenant, token) == 401
    assert await log_in(tenant, "correct horse") is None
    assert await send(tenant, "GET", "/people", key="ada-ak", secret="ada-secret-1") == (200, "people")


async def test_applying_a_user_again_changes_nothing(tenant: Tenant) -> None:
    """A password that is the same makes no new hash, so tokens live on."""
    token = await log_in(tenant, "correct horse")
    answer = await tenant.call("POST", "apply", content=MANIFEST.encode())
    assert {step["result"] for step in answer.json()["results"]} == {"unchanged"}
    assert await people(tenant, token) == 200


async def test_credentials_of_others_on_the_control_api_are_403(tenant: Tenant) -> None:
    """Apps and users are known to the control API and have no business there; who is not known gets 401."""
    shown = [
        {"X-Apig-AppCode": "shop-code-1"},
        {"Authorization": "Bearer shop-code-1"},
        {"X-HW-ID": "shop-key", "X-HW-AppKey": "shop-secret-1"},
        {"Authorization": "Basic c2hvcC1rZXk6c2hvcC1zZWNyZXQtMQ=="},
        {"X-Auth-Token": await log_in(tenant, "correct horse") or ""},
    ]
    address = tenant.house.addresses()["control"]
    async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{address}/api/v1/") as client:
        for headers in shown:
            refused = await client.get("apps", headers=headers)
            unknown = await client.get("apps", headers={name: value + "x" for name, value in headers.items()})
            assert (refused.status_code, unknown.status_code) == (403, 401), headers


async def test_appcodes_in_clear_and_lists_of_addresses(tenant: Tenant) -> None:
    """Over plain HTTP an AppCode is refused where the route does not allow it, a secret is not; lists count at once."""
    async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['gateway']}") as client:
        in_clear = await client.get("/codes", headers={"X-Apig-AppCode": "shop-code-1"})
        assert (in_clear.status_code, in_clear.json()["error_code"]) == (401, "APIC.0303")
        assert (await client.get("/codes", auth=(shop.KEY, shop.SECRET))).text == "codes"
        await tenant.apply(CODES.replace("auth:", "access_lists: [nobody]\nauth:"))
        shut = await client.get("/codes", auth=(shop.KEY, shop.SECRET))
        assert (shut.status_code, shut.json()["error_code"]) == (403, "APIC.0402")


async def log_in(tenant: Tenant, password: str) -> str | None:
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['control']}/api/v1/"
    ) as client:
        answer = await client.post("tokens", json={"user": "ada", "password": password}, timeout=30)
    assert answer.status_code in {201, 401}, answer.text
    return answer.json().get("token")


async def people(tenant: Tenant, token: str | None) -> int:
    async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['gateway']}") as client:
        return (await client.get("/people", headers={"X-Auth-Token": token or ""})).status_code
