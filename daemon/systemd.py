"""systemd's readiness protocol (sd_notify): one datagram to the socket that NOTIFY_SOCKET names."""

import os
import socket

import structlog

log = structlog.get_logger()


def notify(state: str) -> None:
    """Tell the service manager a state such as READY=1 or STOPPING=1; without one there is nothing to do."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        with socket.socket(socket.AF_UNIX, flags) as sender:
            sender.sendto(state.encode(), address)
    except OSError as error:
        # A manager that does not listen is no reason to end.
        log.warning("service manager not notified", state=state, reason=error.strerror)
