"""systemd's readiness protocol (sd_notify): one datagram to the socket that NOTIFY_SOCKET names."""

import os
import socket


def notify(state: str) -> None:
    """Tell the service manager a state such as READY=1 or STOPPING=1; without one there is nothing to do."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)
