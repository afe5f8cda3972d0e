"""Whole conversations of clients that break rules, ever the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from actors.wire.mqtt.client import write
from actors.wire.mqtt.packets import (
    MQTT_3_1,
    MQTT_3_1_1,
    MQTT_5,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Publish,
    Pubrel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.properties import Properties
from tests.laws.mutations import MESSAGE, PACKETS, mutate

_CLIENTS = 50
_UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
_BINARY, _MASKED = b"\x82", 0x80

# What clients do with one another's help: hand-shakes that begin and end, subscriptions that hear what is published.
_ACTS: tuple[tuple[Packet, ...], ...] = (
    (Subscribe(1, (Subscription("a/#", 2), Subscription("+/b", 1)), 7),),
    (Subscribe(2, (Subscription("$share/g/a/#", 2),)),),
    (
        Publish("a/b", b"x", 2, 5, retain=False, dup=False),
        Pubrel(5),
        Publish("a/b", b"x", 2, 5, retain=False, dup=True),
    ),
    (Publish("a/b", b"x" * 300, 1, 6, retain=True, dup=False, properties=MESSAGE),),
    (Publish("a/c", b"1", 1, 7, retain=False, dup=False, properties=Properties(topic_alias=1)),),
    (Publish("", b"2", 1, 8, retain=False, dup=False, properties=Properties(topic_alias=1)),),
    (Publish("a/b", b"", 1, 9, retain=True, dup=False),),
    (Unsubscribe(3, ("a/#",)),),
    (Pingreq(), Pingreq()),
    (Disconnect(4, 0),),
    *((packet,) for packet in PACKETS),
)


def conversations(seed: int, count: int) -> Iterator[tuple[str, list[bytes]]]:
    """So many conversations: over `tcp` or `websocket`, and what the client sends, piece by piece."""
    chance = random.Random(seed)
    for _ in range(count):
        level = chance.choice((MQTT_3_1, MQTT_3_1_1, MQTT_5))
        packets = [packet for _ in range(chance.randint(1, 6)) for packet in chance.choice(_ACTS)]
        pieces = [_connect(level, chance), *(write(packet, level) for packet in packets)]
        # Mostly someone who is let in goes wrong later on.
        first = 0 if chance.random() < 0.2 else 1
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(first, len(pieces))
            pieces[place] = mutate(pieces[place], chance) if pieces[place] else chance.randbytes(3)
        if chance.random() < 0.2:
            chance.shuffle(pieces)
        if chance.random() < 0.15:
            yield "websocket", [_UPGRADE, *(_mutated_frame(piece, chance) for piece in pieces)]
        else:
            yield "tcp", _cut(b"".join(pieces), chance)


def _connect(level: int, chance: random.Random) -> bytes:
    connect = Connect(
        level,
        f"m{chance.randrange(_CLIENTS)}",
        clean_start=chance.random() < 0.5,
        keep_alive=chance.choice((0, 1, 60)),
        session_expiry=chance.choice((0, 1, 5)),
        receive_maximum=chance.choice((1, 65_535)),
        max_packet_bytes=chance.choice((None, 50)),
        topic_alias_maximum=chance.choice((0, 2)),
    )
    if chance.random() < 0.3:
        connect = replace(connect, will=Will("a/b", b"gone", chance.randrange(3), delay=chance.choice((0, 1))))
    return write(connect)


def _cut(data: bytes, chance: random.Random) -> list[bytes]:
    """Where a stream is cut means nothing; mostly it comes as one."""
    if chance.random() < 0.7:
        return [data]
    places = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


def _mutated_frame(data: bytes, chance: random.Random) -> bytes:
    """A binary frame, mostly as it should be; its mask is 0, so that what it holds is read as it stands."""
    head = bytes((_MASKED | len(data),)) if len(data) < 126 else bytes((_MASKED | 126,)) + len(data).to_bytes(2, "big")
    frame = _BINARY + head + bytes(4) + data
    return mutate(frame, chance) if chance.random() < 0.1 else frame
