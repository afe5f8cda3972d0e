"""What a person wants to see of one resource: what was written, how it fares, and its parts as tables.

All that the control API tells is shown by `-o json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_FIRST = ("kind", "app", "product", "name")
_SECOND_MS = 1000
_CLASSES = ("2xx", "3xx", "4xx", "5xx")
_PARTITION = {
    "start_offset": "start offset",
    "high_watermark": "high watermark",
    "segments": "segments",
    "size": "bytes",
    "refused": "refused",
    "fault": "fault",
}


class View(NamedTuple):
    """Names and values, which may be nested, and below them tables by title: rows that have the same columns."""

    fields: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]


def view(kind: str, item: Mapping[str, Any]) -> View:
    """One resource as the control API tells of it."""
    written = manifest(item)
    status = dict(item.get("status") or {})
    match kind:
        case "device":
            return View(_device(written, status), {})
        case "topic":
            tables = {"partitions": _partitions(status.pop("partitions", ()))}
        case "task":
            tables = {name: status.pop(name, ()) for name in ("runners", "partitions")}
            status["seconds"] = _line(status.get("seconds") or {})
        case "route":
            status, tables = _route(status), {}
        case "certificate":
            # What is in it stands in the status, in words.
            written, tables = {name: value for name, value in written.items() if name != "chain"}, {}
        case _:
            tables = {}
    return View(written | {"status": status}, tables)


def manifest(item: Mapping[str, Any]) -> dict[str, Any]:
    """The resource as it was written, without what the instance adds to it."""
    written = {name: value for name, value in item.items() if name not in {"meta", "status"}}
    return {name: written[name] for name in _FIRST if name in written} | written


def _device(written: Mapping[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """A device: how it connects, whether it is there, and what it reports."""
    mqtt = status.pop("mqtt", None) or {}
    since, reason = status.pop("since", None), status.pop("reason", None)
    rejected = status.pop("rejected_reports", None) or ()
    shown = {
        "device": f"{written['product']}/{written['name']}",
        "app": written.get("app"),
        "enabled": written.get("enabled", True),
        "MQTT address": mqtt.get("address"),
        "MQTT over TLS": mqtt.get("tls"),
        "MQTT over WebSocket": mqtt.get("websocket"),
        "client id": mqtt.get("client_id"),
        "user name": mqtt.get("username"),
        "publishes to": mqtt.get("publish"),
        "subscribes to": mqtt.get("subscribe"),
        "state": " ".join(
            filter(None, [status.pop("state", "?"), since and f"since {since}", reason and f"({reason})"])
        ),
        "connected as": status.pop("client_ids", None),
        "connected from": status.pop("addresses", None),
        "last report": status.pop("last_report", None) or "none yet",
        "reports": status.pop("reports", None),
        "rejected": status.pop("rejected", None),
        "rejected reports": "\n".join("  ".join(map(str, each.values())) for each in rejected),
    }
    return shown | {key: value for key, value in written.items() if key not in {*_FIRST, "enabled"}} | status


def _partitions(partitions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"partition": number} | {title: one.get(name) for name, title in _PARTITION.items()}
        for number, one in enumerate(partitions)
    ]


def _route(status: dict[str, Any]) -> dict[str, Any]:
    answers = status.pop("answers", None) or ()
    seconds, count = status.pop("latency_sum", 0.0), sum(answers)
    status.pop("latency_buckets", None)
    admission = status.pop("admission", None) or {}
    latency = status.pop("latency_ms", None) or {}
    cache = status.pop("cache", None)
    shown = {
        "answers": _line(dict(zip(_CLASSES, answers, strict=False))),
        "statuses": _line(status.pop("statuses", None) or {}),
        "mean_latency": _milliseconds(1000 * seconds / count) if count else None,
        "latency": ", ".join(f"{name} {_milliseconds(value)}" for name, value in latency.items() if value is not None),
        "admission": _line({name: admission.get(name) for name in ("running", "waiting", "refused")}),
    }
    return status | shown | ({} if cache is None else {"cache": _line(cache)})


def _milliseconds(value: float) -> str:
    """Three digits that count; of what is longer than a second, every millisecond."""
    return f"{value:.0f} ms" if value >= _SECOND_MS else f"{value:.3g} ms"


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if value is not None
    )
