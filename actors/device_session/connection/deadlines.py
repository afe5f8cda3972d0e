"""For how long a client may be silent, read nothing, take nothing, or be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.wire.mqtt.reasons import Reason

if TYPE_CHECKING:
    from actors.device_session.broker import Broker
    from actors.device_session.connection.keep_alive import KeepAlive
    from actors.device_session.connection.writer import Writer


class Overdue(NamedTuple):
    """Why a connection is to be ended: for people, and as a client of MQTT 5 is told."""

    reason: str
    code: Reason


def overdue(now: float, broker: Broker, keep_alive: KeepAlive, writer: Writer) -> Overdue | None:
    """Whether a deadline of a connection is over at `now` (seconds of trio's clock); counted where it is."""
    settings, counters = broker.settings, broker.counters
    if keep_alive.is_over(now):
        counters.keep_alive_expired += 1
        what = "no CONNECT" if writer.state is None else "nothing (keep alive)"
        return Overdue(f"{what} from the client for {keep_alive.silence:g} s", Reason.KEEP_ALIVE_TIMEOUT)
    if now - writer.stuck_since > settings.write_timeout:
        return Overdue(f"the client has not read anything for {settings.write_timeout:g} s", Reason.QUOTA_EXCEEDED)
    if writer.receiver is not None and writer.receiver.is_stalled(now):
        counters.slow_subscribers += 1
        what = "it takes the messages that it subscribed to more slowly than they come"
        return Overdue(what, Reason.QUOTA_EXCEEDED)
    if writer.refused is not None and now - writer.refused.since >= settings.refused_timeout:
        counters.refused_disconnects += 1
        what = f"its reports are refused, and were not acknowledged for {settings.refused_timeout:g} s"
        return Overdue(f"{what}: {writer.refused.error}", Reason.QUOTA_EXCEEDED)
    return None
