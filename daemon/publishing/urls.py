"""Where a published route is called. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.gateway_route.published import Published
from config.resources import RELEASE, ApiGroup

_LISTENERS = (("gateway", "http"), ("gateway_https", "https"))
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - an address that is shown, not bound


def servers(group: ApiGroup | None, addresses: Mapping[str, str]) -> Iterator[str]:
    """The start of every URL of a group: scheme, host and port."""
    domains = () if group is None else group.domains
    for listener, scheme in _LISTENERS:
        host, _, port = addresses.get(listener, "").rpartition(":")
        if not host:
            continue
        for domain in domains:
            if scheme == "http" or domain.certificate is not None:
                yield f"{scheme}://{domain.name}:{port}"
        if not domains:
            yield f"{scheme}://{_EVERYWHERE.get(host, host)}:{port}"


def calls(published: Published, group: ApiGroup | None, addresses: Mapping[str, str]) -> Iterator[str]:
    """Method and URL, as in `GET http://127.0.0.1:8080/lots/{lot}`, and the stage where it is not RELEASE."""
    request = published.route.request
    path = request.path if request.match == "exact" else request.path.rstrip("/") + "/*"
    stage = "" if published.environment == RELEASE else f" (X-Stage: {published.environment})"
    for server in servers(group, addresses):
        if request.protocol in ("both", server.partition(":")[0]):
            yield f"{request.method} {server}{path}{stage}"
