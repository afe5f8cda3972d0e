"""What the daemon is given to work on while it is measured."""

HOUSE = """
kind: app
name: bench
key: bench
secret: bench-secret
---
kind: product
app: bench
name: bench
services:
  - name: ParkingStatus
    properties:
      - {name: deviceId, type: string, max_length: 64}
      - {name: status, type: string, max_length: 16, enum: ["0", "1"]}
---
kind: topic
app: bench
name: reports
partitions: 4
---
kind: rule
app: bench
name: forward
from: {product: bench, topic: "bench/out/+"}
include_device: true
to: [{topic: reports}]
---
kind: connection
app: bench
name: sink
connector: sqlite
settings: {path: sink.db}
"""

TASK = """
---
kind: task
app: bench
name: table
source:
  topic: reports
  start: earliest
  fields:
    - {name: deviceId, type: string, path: data.deviceId}
    - {name: status, type: string, path: data.status}
target:
  connection: sink
  table: ParkingData
  create: true
  key: [DeviceId]
  columns: {DeviceId: deviceId, Status: status}
"""

ROUTES = """
---
kind: route
app: bench
name: mock
request: {path: /mock}
auth: none
backend: {mock: {body: {answer: "ok"}}}
---
kind: route
app: bench
name: data
request: {path: "/lots/{deviceId}"}
auth: none
backend: {data: {connection: sink, sql: "SELECT DeviceId, Status FROM ParkingData WHERE DeviceId = :deviceId"}}
"""


def devices(count: int) -> str:
    """So many devices, as the load logs in."""
    return "".join(
        f"---\nkind: device\napp: bench\nproduct: bench\nname: dev{number:06d}\nsecret: secret-dev{number:06d}\n"
        for number in range(1, count + 1)
    )
