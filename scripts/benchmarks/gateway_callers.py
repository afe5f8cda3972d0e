"""gateway: what a call costs: beside other servers, with a signature or an AppCode, and with every line logged."""

from __future__ import annotations

import httpx

from scripts.benchmarks import gateway_manifests
from scripts.benchmarks.figures import Figures, in_turn
from scripts.benchmarks.gateway_manifests import CODE, KEY, SECRET
from scripts.benchmarks.gateway_peers import quart, uvicorn
from scripts.benchmarks.peers import Penstock, penstock
from scripts.benchmarks.raw_requests import get, signed
from scripts.benchmarks.report import Line
from scripts.benchmarks.wrk import CONNECTIONS, wrk

PEER_FLOORS = {"quart-trio on hypercorn": 8.0, "uvicorn": 0.6}
CALLER_FLOORS = {"signature": 0.5, "AppCode": 0.8}
SIGNATURES = 5_000
MOCK = [get("/mock")]
EVERY_LINE = {"PENSTOCK_GATEWAY__ACCESS_LOG__LINES": "all"}


def measure_peers(seconds: float, figures: Figures) -> None:
    """The mock route and both peers, one after the other while all of them run."""
    with penstock() as daemon, uvicorn() as one, quart() as other:
        daemon.apply(gateway_manifests.callers())
        peers = {"uvicorn": one, "quart-trio on hypercorn": other}
        servers = {"penstock": daemon.gateway} | {name: (peer.host, peer.port) for name, peer in peers.items()}
        for connections in CONNECTIONS:
            loads = {_name(name, connections): wrk(address, MOCK, connections) for name, address in servers.items()}
            in_turn(loads, seconds, figures)


def peer_lines(figures: Figures) -> list[Line]:
    """The mock route held to both peers."""
    lines = []
    for connections in CONNECTIONS:
        peers = {name: figures[_name(name, connections)] for name in PEER_FLOORS}
        mine = figures[_name("penstock", connections)]
        line = Line(f"mock, {connections} connections", "requests/s", mine, floors=dict(PEER_FLOORS))
        lines += [line.against(peers), *(Line(_name(*key), "requests/s", peers[key[0]]) for key in _keys(connections))]
    return lines


def measure_callers(seconds: float, figures: Figures) -> None:
    """Calls that sign, that show an AppCode, and that do neither."""
    coded = get("/coded", (("X-Apig-AppCode", CODE),))
    with penstock() as daemon:
        daemon.apply(gateway_manifests.callers())
        _see_that_it_checks(daemon)
        for connections in CONNECTIONS:
            kinds = {"none": MOCK, "AppCode": [coded], "signature": signed("/signed", SIGNATURES, KEY, SECRET)}
            loads = {
                _name(f"mock, {kind}", connections): wrk(daemon.gateway, requests, connections)
                for kind, requests in kinds.items()
            }
            in_turn(loads, seconds, figures)


def caller_lines(figures: Figures) -> list[Line]:
    """Both ways held to the mock route without them."""
    lines = []
    for connections in CONNECTIONS:
        plain = figures[_name("mock, none", connections)]
        for name, floor in CALLER_FLOORS.items():
            mine = figures[_name(f"mock, {name}", connections)]
            line = Line(f"mock with {name}, {connections} connections", "requests/s", mine, floors={"mock": floor})
            if name == "signature":
                line.note = f"{SIGNATURES:,} different signatures in turn, each verified"
            lines.append(line.against({"mock": plain}))
    return lines


def measure_log(seconds: float, figures: Figures) -> None:
    """The mock route with the access log as it is, and with a line for every call."""
    with penstock() as quiet, penstock(**EVERY_LINE) as telling:
        for daemon in (quiet, telling):
            daemon.apply(gateway_manifests.callers())
        for connections in CONNECTIONS:
            daemons = {"log default": quiet, "log all": telling}
            loads = {
                _name(name, connections): wrk(daemon.gateway, MOCK, connections) for name, daemon in daemons.items()
            }
            in_turn(loads, seconds, figures)


def log_lines(figures: Figures) -> list[Line]:
    """Every line beside the default; reported."""
    lines = []
    for connections in CONNECTIONS:
        mine = figures[_name("log all", connections)]
        line = Line(f"mock, every line logged, {connections} connections", "requests/s", mine, note="reported")
        lines.append(line.against({"the default": figures[_name("log default", connections)]}))
    return lines


def _see_that_it_checks(daemon: Penstock) -> None:
    """What is measured must be a check: what is wrong in one digit is refused, and what is right is not."""
    host, port = daemon.gateway
    request = signed("/signed", 1, KEY, SECRET)[0].decode()
    target = request.split(" ", 2)[1]
    headers = dict(line.split(": ", 1) for line in request.split("\r\n")[1:-2])
    right = headers["Authorization"]
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    for authorization, expected in ((right, httpx.codes.OK), (wrong, httpx.codes.UNAUTHORIZED)):
        answer = httpx.get(f"http://{host}:{port}{target}", headers=headers | {"Authorization": authorization})
        if answer.status_code != expected:
            raise SystemExit(f"a signed request was answered with {answer.status_code} instead of {expected}")
    answer = httpx.get(f"http://{host}:{port}/coded", headers={"X-Apig-AppCode": CODE + "x"})
    if answer.status_code != httpx.codes.UNAUTHORIZED:
        raise SystemExit(f"a wrong AppCode was answered with {answer.status_code}")


def _name(what: str, connections: int) -> str:
    return f"{what}, {connections} connections"


def _keys(connections: int) -> list[tuple[str, int]]:
    return [(name, connections) for name in PEER_FLOORS]
