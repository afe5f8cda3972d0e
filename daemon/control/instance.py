"""What one asks about the instance as a whole: health, metrics, status, the supervision tree, the API's description."""

from __future__ import annotations

from http import HTTPStatus

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from quart import Blueprint, Response

from daemon.control.context import Control
from daemon.control.openapi import describe
from daemon.control.problems import answer
from daemon.metrics import MetricsPage


def health_blueprint(control: Control) -> Blueprint:
    """`/healthz` and `/readyz`: the only pages without a token; and `/metrics`."""
    blueprint = Blueprint("health", __name__)
    page = MetricsPage(control.engine.metrics)

    @blueprint.get("/healthz")
    async def healthz() -> Response:
        return answer({"status": "ok"})

    @blueprint.get("/readyz")
    async def readyz() -> Response:
        ready, reason = control.engine.ready()
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return answer({"ready": ready, "reason": reason}, status)

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        return Response(page.render(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return blueprint


def instance_blueprint(control: Control) -> Blueprint:
    """`/status`, `/tree`, `/openapi.json`."""
    blueprint = Blueprint("instance", __name__)
    about = control.about

    @blueprint.get("/status")
    async def status() -> Response:
        ready, reason = control.engine.ready()
        return answer(
            {
                "instance": about.instance,
                "version": about.version,
                "data": str(about.data),
                "addresses": control.engine.addresses(),
                "settings": dict(about.settings),
                "ready": ready,
                "reason": reason,
                "resources": control.service.catalog.counts(),
            }
        )

    @blueprint.get("/tree")
    async def tree() -> Response:
        return answer(control.engine.tree())

    @blueprint.get("/openapi.json")
    async def openapi() -> Response:
        return answer(describe(about.version, control.families))

    return blueprint
