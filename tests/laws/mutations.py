"""Mutated MQTT packets, ever the same ones for the same seed: for tests that feed many of them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from actors.wire.mqtt import client
from actors.wire.mqtt.packets import (
    Auth,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.properties import Properties

USER = (("name", "value"), ("näme", ""))
MESSAGE = Properties(1, 60, None, "answers/é", b"\x00\xff", "text/plain", USER)
PACKETS: tuple[Packet, ...] = (
    Publish("sensor/out/a", b'{"status": 1}', 1, 7, retain=False, dup=False),
    Publish("sensor/out/é", bytes(200), 2, 65_535, retain=True, dup=True, properties=MESSAGE),
    Publish("a", b"", 0, 0, retain=False, dup=False, properties=Properties(topic_alias=3)),
    Publish("", b"hi", 1, 9, retain=False, dup=False, properties=Properties(topic_alias=3)),
    Puback(1),
    Puback(1, 0x97),
    Pubrec(2, 0x10),
    Pubrel(3),
    Pubcomp(4, 0x92),
    Subscribe(5, (Subscription("a/+", 1), Subscription("$share/g/#", 2)), 300, USER),
    Unsubscribe(6, ("a/+", "b"), USER),
    Pingreq(),
    Disconnect(0x80, 30, "tired", USER),
    Auth(0x19, "SCRAM", b"x", "again", USER),
)
CONNECTS = (
    Connect(3, "c", keep_alive=5, username="u", password=b"p"),
    Connect(4, "c", clean_start=False, username="u", password=b"p", will=Will("w", b"gone", 1, retain=True)),
    Connect(5, "c"),
    Connect(
        5,
        "c",
        will=Will("w", b"gone", 2, delay=5, properties=MESSAGE),
        session_expiry=60,
        receive_maximum=10,
        max_packet_bytes=4096,
        topic_alias_maximum=7,
        user=USER,
        authentication_method="SCRAM",
    ),
)


def mutated(seed: int, count: int) -> Iterator[tuple[int, bytes]]:
    """So many packets with the level of their connection, each mutated by a byte or some."""
    chance = random.Random(seed)
    whole = [(level, client.write(packet, level)) for level in (3, 4, 5) for packet in PACKETS]
    whole += [(packet.level, client.write(packet)) for packet in CONNECTS]
    for _ in range(count):
        level, data = chance.choice(whole)
        yield level, mutate(data, chance)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, inserted, taken out, doubled or cut off; at times with the remaining length set right again."""
    packet = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(packet) + 1)
        match chance.randrange(6):
            case 0 | 1 if place < len(packet):
                packet[place] = chance.randrange(256)
            case 2:
                packet[place:place] = chance.randbytes(chance.randint(1, 4))
            case 3:
                del packet[place : place + chance.randint(1, 4)]
            case 4:
                packet[place:place] = packet[place : place + 8]
            case _:
                del packet[place:]
    if chance.random() < 0.7 and 2 <= len(packet) < 129:
        packet[1] = len(packet) - 2
    return bytes(packet)
