"""The instance that is killed: numbered reports, a topic, a table by device and a table of every offset."""

SECRET = "crash-secret"
PARTITIONS = 3


def manifest(devices: list[str]) -> str:
    """Devices that number their reports, a task that keeps each device's last, a task that keeps every offset."""
    return _HOUSE + "".join(
        f"---\nkind: device\napp: crash\nproduct: sensor\nname: {name}\nsecret: {SECRET}\n" for name in devices
    )


_HOUSE = f"""
kind: app
name: crash
key: crash
secret: {SECRET}
---
kind: product
app: crash
name: sensor
services:
  - name: Report
    properties:
      - {{name: deviceId, type: string}}
      - {{name: seq, type: integer}}
---
kind: topic
app: crash
name: reports
partitions: {PARTITIONS}
---
kind: rule
app: crash
name: forward
from: {{product: sensor}}
to: [{{topic: reports}}]
---
kind: connection
app: crash
name: sink
connector: sqlite
settings: {{path: sink.db}}
---
kind: task
app: crash
name: latest
runners: 2
source:
  topic: reports
  start: earliest
  fields: [{{name: deviceId, type: string, path: deviceId}}, {{name: seq, type: integer, path: seq}}]
target: {{connection: sink, table: latest, create: true, key: [device], columns: {{device: deviceId, seq: seq}}}}
---
kind: task
app: crash
name: every
runners: {PARTITIONS}
source:
  topic: reports
  start: earliest
  fields: [{{name: deviceId, type: string, path: deviceId}}, {{name: seq, type: integer, path: seq}}]
target:
  connection: sink
  table: every
  create: true
  columns: {{part: $partition, off: $offset, device: deviceId, seq: seq}}
"""
