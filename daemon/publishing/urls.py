"""Where a published route is called. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from actors.gateway_route.published import Published
from config.resources import RELEASE, ApiGroup
from config.settings import GatewaySettings

_LISTENERS = (("gateway", "http", 80), ("gateway_https", "https", 443))
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - an address that is shown, not bound


class PublicAddresses(Mapping[str, str]):
    """host:port of each listener as its callers know it: with its `public_port`, where it has one."""

    def __init__(self, bound: Mapping[str, str], settings: GatewaySettings) -> None:
        self._bound = bound
        self._ports = {"gateway": settings.listen.public_port, "gateway_https": settings.https.public_port}

    def __getitem__(self, name: str) -> str:
        address, port = self._bound[name], self._ports.get(name)
        return address if port is None or not address else f"{address.rpartition(':')[0]}:{port}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._bound)

    def __len__(self) -> int:
        return len(self._bound)


def port_of(listener: str, addresses: Mapping[str, str]) -> int | None:
    """The port of a listener, None where there is no such listener."""
    port = addresses.get(listener, "").rpartition(":")[2]
    return int(port) if port else None


def servers(group: ApiGroup | None, addresses: Mapping[str, str]) -> Iterator[str]:
    """The start of every URL of a group: scheme, host, and the port where it is not the scheme's own."""
    domains = () if group is None else group.domains
    for listener, scheme, usual in _LISTENERS:
        host, _, port = addresses.get(listener, "").rpartition(":")
        if not host:
            continue
        place = "" if int(port) == usual else f":{port}"
        for domain in domains:
            if scheme == "https" or domain.client_authorities is None:
                yield f"{scheme}://{domain.name}{place}"
        if not domains:
            yield f"{scheme}://{_EVERYWHERE.get(host, host)}{place}"


def calls(published: Published, group: ApiGroup | None, addresses: Mapping[str, str]) -> Iterator[str]:
    """Method and URL, as in `GET http://127.0.0.1:8080/lots/{lot}`, and the stage where it is not RELEASE."""
    request = published.route.request
    path = request.path if request.match == "exact" else request.path.rstrip("/") + "/*"
    stage = "" if published.environment == RELEASE else f" (X-Stage: {published.environment})"
    for server in spoken(published, servers(group, addresses)):
        yield f"{request.method} {server}{path}{stage}"


def spoken(published: Published, servers: Iterable[str]) -> Iterator[str]:
    """Of these starts of URLs, those whose scheme the route takes."""
    protocol = published.route.request.protocol
    return (server for server in servers if protocol in ("both", server.partition(":")[0]))
