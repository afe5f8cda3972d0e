"""Who is online: derived from the sessions that live, and told to those who asked to be told."""

from __future__ import annotations

from typing import assert_never

from actors.device_session.registry.lifecycle import Lifecycle
from actors.device_session.registry.statuses import DeviceStatus, LivingSession, Statuses
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, Identity


class Presence:
    """Where sessions say that they begin and end.

    A device is online while any of its sessions lives; of a passing device, which shows no secret, each client id is
    one. Only devices have a status that is kept: client ids that anybody may choose would be without number.
    """

    __slots__ = ("_lifecycle", "_statuses")

    def __init__(self, statuses: Statuses, lifecycle: Lifecycle) -> None:
        self._statuses = statuses
        self._lifecycle = lifecycle

    def joined(self, session: LivingSession, identity: Identity) -> DeviceStatus | None:
        """A session has logged in; returns the status of its device, which it keeps until `left`."""
        match identity:
            case AppIdentity():
                return None
            case AnonymousIdentity():
                self._lifecycle.online(identity, session.client_id, f"connected from {session.address}")
                return None
            case DeviceIdentity():
                status = self._statuses.of(str(identity))
                if status.joined(session):
                    self._lifecycle.online(identity, session.client_id, status.reason)
                return status
            case _:
                assert_never(identity)

    def left(self, session: LivingSession, identity: Identity, status: DeviceStatus | None, reason: str) -> None:
        """A session that had joined has ended; `status` is what `joined` returned."""
        if isinstance(identity, AnonymousIdentity) or (status is not None and status.left(session, reason)):
            self._lifecycle.offline(identity, session.client_id, reason)

    def will(self, identity: Identity, client_id: str, topic: str, reason: str) -> None:
        """The will of a session is published, because it ended for this reason."""
        self._lifecycle.will(identity, client_id, topic, reason)
