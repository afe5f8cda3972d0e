"""`penstock demo`: the parking lot, live, and at its end the proof that nothing was lost."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import httpx
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.errors import PenstockError
from daemon.demo.lot import APP, ParkingLot, fresh_folder, manifest, running_daemon, secrets
from daemon.demo.sensors import Fleet
from daemon.folder import DaemonNote
from daemon.limits import raise_file_limit

SETTLE_TIMEOUT = 15.0
# How often the numbers are shown: on a terminal they move, elsewhere each time is one more line.
TERMINAL_SECONDS = 0.25
PLAIN_SECONDS = 5.0

Numbers = dict[str, str]


class Outcome(msgspec.Struct, frozen=True):
    """The JSON line: reports sent and acknowledged, row writes, free lots as they should be and as answered."""

    published: int
    acknowledged: int
    rows: int
    free_expected: int
    free_answered: int | None
    lag: int


def run_demo(data: Path, *, seconds: float | None, sensors: int, as_json: bool) -> int:
    """Run the demo for `seconds` (None: until Ctrl-C) and return the exit code: 0 only if everything adds up.

    Raises:
        PenstockError: the folder is not a demo's, or the daemon did not start or answer; says what to look at.
    """
    folder = data / "demo"
    fresh_folder(folder)
    raise_file_limit()
    console = Console(stderr=as_json)
    try:
        outcome, wrong = _run(console, folder, seconds, sensors)
    except httpx.HTTPError as error:
        raise PenstockError(f"the daemon does not answer ({error}); see {folder / 'daemon.log'}") from error
    if as_json:
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
    else:
        console.print(_verdict(outcome, wrong), soft_wrap=True)
    for line in wrong:
        Console(stderr=True).print(f"[red]{line}[/red]")
    return 1 if wrong else 0


def _run(console: Console, folder: Path, seconds: float | None, sensors: int) -> tuple[Outcome, list[str]]:
    with _interruptible() as stopping, running_daemon(folder) as note:
        lot = ParkingLot(note)
        with contextlib.closing(lot):
            lot.apply(manifest(sensors))
            host, port = note.mqtt.rsplit(":", 1)
            fleet = Fleet(secrets(sensors), (host, int(port)))
            # Once, above what moves, and as it is: a line that is cut or wrapped cannot be copied.
            console.print(by_hand(note), soft_wrap=True, markup=False, highlight=False)
            try:
                fleet.start()
                _watch(console, lambda: _numbers(lot, fleet), fleet, seconds, stopping)
            finally:
                fleet.stop()
            return _settle(lot, fleet)


@contextlib.contextmanager
def _interruptible() -> Iterator[list[bool]]:
    """A first Ctrl-C (or SIGTERM, or a closed terminal) asks for the end; the list is non-empty from then on."""
    asked: list[bool] = []

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.append(True)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _watch(
    console: Console, numbers: Callable[[], Numbers], fleet: Fleet, seconds: float | None, stopping: list[bool]
) -> None:
    now = shown = time.monotonic()
    end = now + seconds if seconds is not None else math.inf
    pause = TERMINAL_SECONDS if console.is_terminal else PLAIN_SECONDS
    with _display(console) as show:
        while not stopping and now < end:
            if fleet.tally.problem:
                raise PenstockError(fleet.tally.problem)
            if now >= shown:
                show(numbers())
                shown = now + pause
            time.sleep(TERMINAL_SECONDS)
            now = time.monotonic()


@contextlib.contextmanager
def _display(console: Console) -> Iterator[Callable[[Numbers], None]]:
    """Shows numbers: in place on a terminal, as a line each time where nothing can be overwritten."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda numbers: live.update(_board(numbers), refresh=True)
    else:
        yield lambda numbers: console.print(
            ", ".join(f"{name} {value}" for name, value in numbers.items()), soft_wrap=True, highlight=False
        )


def by_hand(note: DaemonNote) -> str:
    """What to type in another terminal while the demo runs; each command on a line of its own."""
    host, port = note.mqtt.rsplit(":", 1)
    return (
        "Try it by hand, in another terminal: report beside the simulated sensor of\n"
        "lot-000001, with a client id of your own, so that both stay connected. The\n"
        "sensor's next report comes within a second, and counts too.\n\n"
        f"mosquitto_pub -h {host} -p {port} -i by-hand -u parking-sensor/lot-000001 -P lot-secret-000001 -q 1 "
        '-t parking-sensor/out/lot-000001 -m \'{"deviceId":"lot-000001","status":"0"}\'\n'
        f"curl -s http://{note.gateway}/parking/free\n"
        f"curl -s -u {APP[0]}:{APP[1]} http://{note.gateway}/parking/lots/lot-000001\n"
        f"curl -s -u {APP[0]}:{APP[1]} 'http://{note.topics}/v1/topic/parking-status/records?max_bytes=1000'\n\n"
        "Ctrl-C drains and stops.\n"
    )


def _numbers(lot: ParkingLot, fleet: Fleet) -> Numbers:
    task = lot.task()
    free = lot.free()
    return {
        "sensors": f"{fleet.tally.connected}",
        "reports received": f"{fleet.tally.acknowledged:,}",
        "rows written": f"{task.get('rows', 0):,}",
        "lag": f"{task.get('lag', 0):,}",
        "free lots": "-" if free is None else f"{free}",
        "task": f"{task.get('state', '')}",
    }


def _board(numbers: Numbers) -> Group:
    table = Table.grid(padding=(0, 3))
    cells = [cell for name, value in numbers.items() for cell in (Text(name), Text(value, style="bold"))]
    for start in range(0, len(cells), 4):
        table.add_row(*cells[start : start + 4])
    return Group(Text("Penstock: the parking lot", style="bold"), table)


def _settle(lot: ParkingLot, fleet: Fleet) -> tuple[Outcome, list[str]]:
    """Wait until the task has caught up, then compare what was acknowledged with what is answered."""
    tally = fleet.tally
    expected = sum(status == "0" for status in tally.states.values())
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while True:
        task = lot.task()
        rows, lag = int(task.get("rows", 0)), int(task.get("lag", 0))
        if (lag == 0 and rows >= tally.acknowledged) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    outcome = Outcome(tally.published, tally.acknowledged, rows, expected, lot.free(), lag)
    return outcome, _differences(outcome, lot, tally.states)


def _differences(outcome: Outcome, lot: ParkingLot, states: dict[str, str]) -> list[str]:
    wrong = []
    if outcome.lag:
        wrong.append(f"lag is {outcome.lag}, not 0")
    if outcome.rows < outcome.acknowledged:
        wrong.append(f"{outcome.rows} rows were written for {outcome.acknowledged} acknowledged reports")
    if outcome.free_answered != outcome.free_expected:
        wrong.append(f"the gateway answers {outcome.free_answered} free lots, {outcome.free_expected} are free")
    for sensor, status in states.items():
        row = lot.status_of(sensor)
        if row != status:
            wrong.append(f"the row of {sensor} says {row}, its last acknowledged report {status}")
    return wrong


def _verdict(outcome: Outcome, wrong: list[str]) -> str:
    if wrong:
        return "[red]Something does not add up:[/red]"
    return (
        f"[green]All adds up:[/green] {outcome.acknowledged:,} reports acknowledged, {outcome.rows:,} rows written, "
        f"lag {outcome.lag}, {outcome.free_answered} lots are free."
    )
