"""What every real client is asked to do, whatever it is written in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

SECRET = "visitor-secret"


class Place(NamedTuple):
    """Where a daemon listens; `authority` is the file with the certificate to believe in."""

    tcp: tuple[str, int]
    tls: tuple[str, int]
    websocket: tuple[str, int]
    authority: Path

    def address(self, transport: str) -> tuple[str, int]:
        """The address for `tcp`, `tls` or `websocket`."""
        address: tuple[str, int] = getattr(self, transport)
        return address


@dataclass(frozen=True)
class Visit:
    """One connection: log in, subscribe, publish, wait for messages, leave; a session that is `kept` is left behind.

    All of it with QoS 2 except for what `publish` says: payloads with their QoS.
    """

    name: str
    level: str
    transport: str
    topic: str
    kept: bool = True
    subscribe: bool = False
    publish: tuple[tuple[str, int], ...] = ()
    hear: int = 0

    @property
    def username(self) -> str:
        """The device that it logs in as."""
        return f"visitor/{self.topic.rpartition('/')[2]}"


class Report(NamedTuple):
    """What a client tells of its visit; `present` is None where it cannot tell whether its session was there."""

    present: bool | None
    heard: list[str]


class Client(Protocol):
    """A client library or program."""

    levels: tuple[str, ...]
    transports: tuple[str, ...]

    def visit(self, place: Place, visit: Visit) -> Report:
        """Do what the visit says.

        Raises:
            AssertionError: it was not done.
        """
