"""A broker on real directory and rules, with partitions that answer when the test says so."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio
import trio.testing

from actors.device_session.actor import Session
from actors.device_session.broker import Broker, open_broker
from actors.device_session.profile import ListenerProfile
from actors.device_session.registry.expiry import expire
from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.errors import ActorGone
from actors.topic_partition.gate import Gate
from actors.topic_partition.messages import Append
from actors.wire.mqtt import encode
from actors.wire.mqtt.answers import Answer, AnswerReader
from actors.wire.mqtt.client import write
from actors.wire.mqtt.packets import MQTT_3_1_1, MQTT_5, Connect, Packet
from config.resources import Product, Property, Rule, RuleSource, RuleTarget, Service
from config.settings import MqttSettings

IN, OUT = "sensor/in/lot-1", "sensor/out/lot-1"
GOOD = b'{"status":"0"}'
BAD = b'{"status":"7"}'


def digest(secret: bytes) -> bytes:
    return hmac.digest(b"instance key", secret, hashlib.sha256)


class FakePartition:
    """Keeps what is appended; answers at once, or when told."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self.answers_at_once = True
        self.gone = False
        self.gate: Gate | None = None

    def submit(self, message: Append) -> None:
        if self.gone:
            raise ActorGone("topic-0")
        if self.gate is not None:
            self.gate.admit(len(message.records))
        self.appends.append(message)
        if self.answers_at_once:
            message.reply.set(0)

    def answer(self) -> None:
        for append in self.appends:
            append.reply.set(0)

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for append in self.appends for record in append.records]


@dataclass
class FakeTopic:
    partitions: list[FakePartition] = field(default_factory=lambda: [FakePartition()])
    max_message_bytes: int = 1_000_000
    name: str = "reports"
    gate: Gate = field(default_factory=lambda: Gate("reports"))

    def __post_init__(self) -> None:
        for one in self.partitions:
            one.gate = self.gate

    def partition_for(self, key: bytes | None) -> int:
        return (key or b"0")[-1] % len(self.partitions)


class FakeTopics:
    def __init__(self) -> None:
        self.version = 0
        self.topics: dict[str, FakeTopic] = {"reports": FakeTopic()}

    def get(self, name: str) -> FakeTopic | None:
        topic = self.topics.get(name)
        if topic is not None:
            topic.name = name
        return topic

    def route(self, name: str) -> FakeTopic | None:
        topic = self.get(name)
        return self.get(topic.gate.divert_to) if topic is not None and topic.gate.divert_to else topic


def status_product() -> Product:
    status = Property(name="status", type="string", enum=("0", "1"))
    return Product(app="city", name="sensor", services=(Service(name="s", properties=(status,)),))


def forward_rule(name: str = "forward", *topics: str, key: str = "device") -> Rule:
    targets = tuple(RuleTarget(topic=topic) for topic in topics or ("reports",))
    return Rule(app="city", name=name, sources=RuleSource(product="sensor"), to=targets, key=key)


def fill(directory: Directory) -> Directory:
    directory.put_app(AppEntry(name="city", key="city-key", secret=digest(b"city-secret")))
    directory.put_product(status_product())
    directory.put_rule(forward_rule())
    for number in (1, 2, 3):
        name = f"lot-{number}"
        directory.put_device(DeviceEntry("sensor", name, "city", digest(f"secret-{number}".encode())))
    off = DeviceEntry("sensor", "lot-off", "city", digest(b"secret-off"), enabled=False)
    directory.put_device(off)
    return directory


def make_broker(**settings: object) -> Broker:
    return open_broker(MqttSettings(**settings), fill(Directory(digest)), FakeTopics())


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def reports(broker: Broker) -> FakePartition:
    return partition(broker)


def partition(broker: Broker, topic: str = "reports", number: int = 0) -> FakePartition:
    topics = broker.topics
    assert isinstance(topics, FakeTopics)
    return topics.topics[topic].partitions[number]


LOT_1 = Connect(MQTT_5, "lot-1", keep_alive=60, username="sensor/lot-1", password=b"secret-1")
APP = Connect(MQTT_5, "app", keep_alive=60, username="city-key", password=b"city-secret")


def publish(packet_id: int, payload: bytes = GOOD, topic: str = OUT, qos: int = 1, **options: bool) -> bytes:
    """A PUBLISH of MQTT 3."""
    return encode.publish(topic, payload, qos=qos, packet_id=packet_id, **options)


async def sweeping(broker: Broker) -> None:
    """What a listener does each second."""
    while True:
        await trio.sleep(1)
        await broker.sessions.sweep()
        await expire(broker)


class Client:
    """The other end of a session, byte by byte."""

    def __init__(self, stream: trio.abc.Stream, session: Session, level: int = MQTT_3_1_1) -> None:
        self.stream = stream
        self.level = level
        self.answers = AnswerReader(level)
        self.session = session
        self.buffer = bytearray()
        self.ended = False

    async def read(self) -> None:
        """Take what comes until the end."""
        try:
            while data := await self.stream.receive_some(65_536):
                self.buffer += data
        except trio.ClosedResourceError:
            return
        self.ended = True

    async def send(self, *packets: bytes) -> None:
        await self.stream.send_all(b"".join(packets))

    async def settle(self) -> None:
        """Until the session has done all it can do now."""
        await trio.testing.wait_all_tasks_blocked()

    async def received(self) -> bytes:
        """What has come by now and was not looked at yet."""
        await self.settle()
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    async def ask(self, *packets: bytes) -> bytes:
        await self.send(*packets)
        return await self.received()

    async def say(self, *packets: Packet) -> list[Answer]:
        """Send packets at the client's level; what the server answers."""
        return self.answers.feed(await self.ask(*(write(packet, self.level) for packet in packets)))

    async def heard(self) -> list[Answer]:
        """What the server has sent by now and was not looked at yet."""
        return self.answers.feed(await self.received())

    async def is_closed(self) -> bool:
        """Whether the server has closed the connection."""
        await self.settle()
        return self.ended


@dataclass
class Clients:
    """Opens connections in a nursery."""

    nursery: trio.Nursery

    def open(self, broker: Broker, listener: ListenerProfile | None = None, level: int = MQTT_3_1_1) -> Client:
        ours, theirs = trio.testing.memory_stream_pair()
        session = Session(theirs, "127.0.0.1:5000", broker, listener)
        client = Client(ours, session, level)
        self.nursery.start_soon(session.run)
        self.nursery.start_soon(client.read)
        return client

    async def device(self, broker: Broker, number: int = 1, client_id: str = "", **options: object) -> Client:
        name, secret = f"sensor/lot-{number}", f"secret-{number}".encode()
        return await self._login(broker, client_id or f"lot-{number}", name, secret, **options)

    async def app(self, broker: Broker, client_id: str = "app") -> Client:
        return await self._login(broker, client_id, "city-key", b"city-secret")

    async def connect(
        self, broker: Broker, connect: Connect | None = None, listener: ListenerProfile | None = None, **fields: object
    ) -> tuple[Client, Answer]:
        """Log in by this CONNECT, or as the device lot-1 at level 5; the client, and the answer."""
        asked = replace(connect or LOT_1, **fields)
        client = self.open(broker, listener, asked.level)
        (answer,) = await client.say(asked)
        return client, answer

    async def _login(self, broker: Broker, client_id: str, name: str, secret: bytes, **options: object) -> Client:
        client = self.open(broker)
        connect = encode.connect(client_id, username=name, password=secret, **options)
        assert await client.ask(connect) == encode.connack(0)
        return client


@asynccontextmanager
async def opened() -> AsyncIterator[Clients]:
    async with trio.open_nursery() as nursery:
        yield Clients(nursery)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with opened() as made:
        yield made
