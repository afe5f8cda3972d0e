"""MQTT brokers to compare with; each stores less than Penstock does before it acknowledges, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from scripts.benchmarks.peers import Running, find, free_port, listening

Broker = Callable[[], AbstractContextManager[Running]]


def brokers() -> dict[str, Broker]:
    """Those that are installed here, by name."""
    found: dict[str, Broker] = {"amqtt": amqtt}
    if find("mosquitto"):
        found["mosquitto"] = mosquitto
    if find("nats-server"):
        found["nats"] = nats
    return found


@contextmanager
def amqtt() -> Iterator[Running]:
    """The broker of amqtt on asyncio, without authentication and rights."""
    port = free_port()
    config = f"""
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
    max_connections: 10000
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""
    program = str(Path(sys.executable).with_name("amqtt"))
    with listening([program, "-c", "amqtt.yaml"], port, {"amqtt.yaml": config}) as running:
        yield running


@contextmanager
def mosquitto() -> Iterator[Running]:
    """mosquitto, which stores nothing."""
    port = free_port()
    config = f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 0\n"
    config += "set_tcp_nodelay true\nlog_type error\n"
    command = [find("mosquitto") or "mosquitto", "-c", "mosquitto.conf"]
    with listening(command, port, {"mosquitto.conf": config}) as running:
        yield running


@contextmanager
def nats() -> Iterator[Running]:
    """NATS with JetStream and its MQTT listener."""
    port, client = free_port(), free_port()
    config = f"server_name: bench\nlisten: 127.0.0.1:{client}\njetstream {{ store_dir: store }}\n"
    config += f"mqtt {{ listen: 127.0.0.1:{port} }}\n"
    with listening([find("nats-server") or "nats-server", "-c", "nats.conf"], port, {"nats.conf": config}) as running:
        yield running
