"""topics: HTTP bulk produce and consume against NATS JetStream with a file store, records of the same size."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.benchmarks.bulk_load import content
from scripts.benchmarks.peers import Penstock, Running, find, free_port, listening, penstock
from scripts.benchmarks.report import Line, show

OUTSTANDING = 500
BULK = 500
FLOOR = {"nats-py publish_async": 1.0}
HEADERS = {"Authorization": "Basic " + b64encode(b"bench:bench-secret").decode()}
TOPIC = """
kind: app
name: bench
key: bench
secret: bench-secret
---
kind: topic
app: bench
name: bulk
partitions: {partitions}
sync: {sync}
"""


def produce(daemon: Penstock, records: int) -> dict[str, float]:
    """Post bulks from a process of its own."""
    host, port = daemon.topics
    command = [sys.executable, "-m", "scripts.benchmarks.bulk_load", host, str(port), "bulk", f"--records={records}"]
    output = subprocess.run([*command, f"--bulk={BULK}"], capture_output=True, text=True, check=False)
    if output.returncode:
        raise SystemExit(output.stderr)
    result: dict[str, float] = json.loads(output.stdout)
    return result


def consume(daemon: Penstock, partitions: int, records: int) -> float:
    """Read every record in bulks over one connection; returns records per second."""
    connection = http.client.HTTPConnection(*daemon.topics, timeout=60)
    began, found = time.perf_counter(), 0
    for partition in range(partitions):
        offset = 0
        while True:
            path = f"/v1/topic/bulk/records?partition={partition}&offset={offset}&max_bytes=1048576&time_wait=0"
            connection.request("GET", path, headers=HEADERS)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
            if not body:
                break
            found += body.count(b"\n")
            offset = json.loads(body[body.rstrip(b"\n").rfind(b"\n") + 1 :])["offset"] + 1
    if found != records:
        raise SystemExit(f"{records} records were produced, {found} consumed")
    return found / (time.perf_counter() - began)


@contextmanager
def nats_server() -> Iterator[Running]:
    """NATS with JetStream on files."""
    port = free_port()
    config = f"server_name: bench\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: store }}\n"
    with listening([find("nats-server") or "nats-server", "-c", "nats.conf"], port, {"nats.conf": config}) as running:
        yield running


async def nats_produce(port: int, records: int) -> float:
    """Publish with so many outstanding; returns records per second."""
    import nats  # noqa: PLC0415 - a peer of this benchmark alone

    client = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = client.jetstream(publish_async_max_pending=OUTSTANDING)
    await stream.add_stream(name="bulk", subjects=["bulk"])
    values = [content(number) for number in range(BULK)]
    began = time.perf_counter()
    for number in range(records):
        await stream.publish_async("bulk", values[number % BULK], wait_stall=60)
    await stream.publish_async_completed()
    rate = records / (time.perf_counter() - began)
    stored = (await stream.stream_info("bulk")).state.messages
    await client.close()
    if stored != records:
        raise SystemExit(f"NATS stored {stored} of {records} records")
    return rate


def topics(*, seconds: float, runs: int, as_json: bool) -> int:
    """Measure produce and consume at 1 and 4 partitions, NATS in turn; `seconds` scales the number of records."""
    records = int(seconds * 100_000) // BULK * BULK
    mine: dict[str, list[float]] = {}
    peer: list[float] = []
    for _ in range(runs):
        for partitions in (1, 4):
            for sync in ("true", "false"):
                with penstock() as daemon:
                    daemon.apply(TOPIC.format(partitions=partitions, sync=sync))
                    result = produce(daemon, records)
                    where = f"{partitions} partition{'s' if partitions > 1 else ''}, sync {sync}"
                    mine.setdefault(f"produce, {where}", []).append(result["records"] / result["seconds"])
                    if sync == "true":
                        rate = consume(daemon, partitions, records)
                        mine.setdefault(f"consume, {partitions} partitions", []).append(rate)
        with nats_server() as server:
            peer.append(asyncio.run(nats_produce(server.port, records // 5)))
    size = len(content(1))
    lines = [_line(name, figures, peer, size) for name, figures in mine.items()]
    lines.append(Line("nats-py publish_async", "records/s", peer, note=f"{OUTSTANDING} outstanding"))
    facts = {"record": f"{size} bytes", "bulk": BULK, "NATS sync": "its default, every 2 minutes", "runs": runs}
    return show("topics", facts, lines, as_json=as_json)


def _line(name: str, figures: list[float], peer: list[float], size: int) -> Line:
    line = Line(name, "records/s", figures)
    line.note = f"{line.median * size / 1e6:.1f} MB/s"
    if name.startswith("produce"):
        line.floors = dict(FLOOR)
        line.against({"nats-py publish_async": peer})
    return line
