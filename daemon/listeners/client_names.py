"""Which device a client's certificate speaks for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_LEVELS: Final = 2


def names_in(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The devices, as `<product>/<device>`, that a verified certificate names; none where it names none.

    A device stands in the common name, as `<product>/<device>`, or in a URI among the alternative names, as its path:
    `spiffe://plant.example/<product>/<device>`, with what a URI cannot hold percent-encoded. The alternative names come
    after the common one. `certificate` is what `ssl.SSLSocket.getpeercert` returns.
    """
    if not certificate:
        return ()
    return tuple(dict.fromkeys((*_common_names(certificate), *_paths(certificate))))


def _common_names(certificate: Mapping[str, Any]) -> Iterator[str]:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName" and _is_device(value):
                yield value


def _paths(certificate: Mapping[str, Any]) -> Iterator[str]:
    for kind, value in certificate.get("subjectAltName", ()):
        if kind != "URI":
            continue
        try:
            # Encoded separators stay part of their level: a name never widens.
            levels = urlsplit(value).path.removeprefix("/").split("/")
        except ValueError:
            continue
        name = "/".join(unquote(level) for level in levels)
        if len(levels) == _LEVELS and _is_device(name):
            yield name


def _is_device(name: str) -> bool:
    product, slash, device = name.partition("/")
    return bool(product and slash and device) and "/" not in device
