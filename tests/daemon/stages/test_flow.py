"""Throttles and quotas of an instance: applied, changed, shown, kept over a restart. A whole one in this process."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.fakes.house import Tenant, living
from tests.fakes.plain_http import NO_TLS

MANIFEST = """kind: app
name: shop
app_codes: [a-code-of-the-shop]
quota: {calls: 5, period: 365d}
---
kind: throttle
app: shop
name: few
limit: 2
period: 1d
by: parameter
parameter: lot
---
kind: route
app: shop
name: lots
request: {method: GET, path: "/lots/{lot}"}
auth: {app: [appcode], appcode_over_http: true}
throttles: [few]
backend: {mock: {body: free}}
"""


async def ask(tenant: Tenant, lot: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['gateway']}") as client:
        return await client.get(f"/lots/{lot}", headers={"X-Apig-AppCode": "a-code-of-the-shop"}, timeout=30)


async def page(tenant: Tenant, name: str) -> str:
    headers = {"Authorization": f"Bearer {tenant.house.token}"}
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=f"http://{tenant.house.addresses()['control']}", headers=headers
    ) as client:
        return (await client.get(name, timeout=30)).text


async def statuses(tenant: Tenant, lot: str, times: int) -> list[int]:
    return [(await ask(tenant, lot)).status_code for _ in range(times)]


async def test_limits_follow_what_is_applied(tmp_path: Path) -> None:
    """A throttle that is changed is in force at once, also for routes that are served already, and is shown."""
    async with living(tmp_path) as tenant:
        await tenant.apply(MANIFEST)
        assert await statuses(tenant, "a", 3) == [200, 200, 429]
        assert await statuses(tenant, "b", 1) == [200]
        status = await tenant.status("throttles/few")
        assert (status["passed"], status["refused"], status["keys"]) == (3, 1, 2)
        await tenant.apply(MANIFEST.replace("limit: 2", "limit: 3"))
        assert await statuses(tenant, "a", 2) == [200, 429]
        status = await tenant.status("routes/lots")
        assert status["statuses"] == {"200": 4, "429": 2}
        assert status["latency_ms"]["p99"] > 0
        assert (await tenant.status("apps/shop"))["quota"]["used"] == 4
        refused = await tenant.call("DELETE", "throttles/few")
        assert refused.status_code == 409
        metrics = await page(tenant, "metrics")
        assert 'penstock_throttle_refused_total{throttle="few"} 2.0' in metrics
        assert 'penstock_route_answers_total{route="lots",status="429"} 2.0' in metrics


async def test_a_quota_is_kept_over_a_restart(tmp_path: Path) -> None:
    """What was used before the daemon ended is used; a throttle begins anew."""
    async with living(tmp_path) as tenant:
        await tenant.apply(MANIFEST)
        assert await statuses(tenant, "a", 3) == [200, 200, 429]
        assert await statuses(tenant, "b", 2) == [200, 200]
    async with living(tmp_path) as tenant:
        assert await statuses(tenant, "a", 2) == [200, 405]
        answer = await ask(tenant, "c")
        assert answer.json()["error_code"] == "APIC.0501"
        assert int(answer.headers["Retry-After"]) > 0
        await tenant.apply(MANIFEST.replace("calls: 5", "calls: 6"))
        assert await statuses(tenant, "b", 2) == [200, 405]
    async with living(tmp_path) as tenant:
        await tenant.apply(MANIFEST.replace("quota: {calls: 5, period: 365d}\n", ""))
        assert await statuses(tenant, "b", 2) == [200, 200]
        assert "quota" not in await tenant.status("apps/shop")
