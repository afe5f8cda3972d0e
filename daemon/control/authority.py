"""The certificate that clients need to believe in this instance: `/ca.pem`."""

from __future__ import annotations

from functools import partial

import trio
from quart import Blueprint, Response

from daemon.authority import CertificateAuthority
from daemon.control import requests
from daemon.control.context import Family, Operation

PATH = "/api/v1/ca.pem"
"""Public, as certificates are: it is asked for before anything can be trusted, and so without a token."""


def authority_family(authority: CertificateAuthority) -> Family:
    """Hand out the certificate of the instance's own authority."""
    summary = "The certificate of the instance's own authority, as PEM; needs no token"
    return Family(partial(_blueprint, authority), (Operation("GET", PATH, summary),))


def _blueprint(authority: CertificateAuthority) -> Blueprint:
    blueprint = Blueprint("authority", __name__)

    @blueprint.get("/ca.pem")
    async def certificate() -> Response:
        requests.only(())
        pem = await trio.to_thread.run_sync(authority.certificate)
        return Response(pem, content_type="application/x-pem-file")

    return blueprint
