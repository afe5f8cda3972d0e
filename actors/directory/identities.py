"""Who a client turned out to be, once it has shown its secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device; its user name is `<product>/<device>`."""

    product: str
    device: str
    app: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.product}/{self.device}"


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """An app."""

    app: str

    def __str__(self) -> str:
        """As people write it."""
        return self.app


@dataclass(frozen=True, slots=True)
class AnonymousIdentity:
    """A passing device of a product: it showed no secret, and goes by its client id."""

    product: str
    client_id: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.product}/{self.client_id} (anonymous)"


Identity = DeviceIdentity | AppIdentity | AnonymousIdentity


@dataclass(frozen=True, slots=True)
class DisabledDevice:
    """A device that showed its secret but is switched off: CONNACK 5, not 4."""

    product: str
    device: str
