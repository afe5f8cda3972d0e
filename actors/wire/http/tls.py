"""What a request knows of the TLS that it came by."""

from __future__ import annotations

import msgspec


class TlsTerms(msgspec.Struct, frozen=True):
    """What a domain asks of the connections that are made for it.

    `minimum` is the lowest version of TLS; `authorities` (a PEM text) are those whose client certificates it believes
    and asks for, empty where it asks for none.
    """

    domain: str
    minimum: str = "1.2"
    authorities: str = ""

    @property
    def strict(self) -> bool:
        """Whether a connection that was made on other terms is no good for this domain."""
        return bool(self.authorities) or self.minimum != "1.2"


class TlsSession(msgspec.Struct, frozen=True):
    """The TLS of one connection, the same for all of its requests.

    `terms` are those of the domain that the client asked for by name (RFC 6066 3); None where it asked for none that
    is known. `client` is the subject of its certificate, which was verified (RFC 4514), empty where it showed none.
    """

    version: str
    terms: TlsTerms | None = None
    client: str = ""
