"""Plugin modules: which there are, what they declare, what is wrong with them; and reading them anew."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from quart import Blueprint, Response

from daemon.control import requests
from daemon.control.context import Family, Operation
from daemon.control.problems import answer
from daemon.plugin_control import PluginControl, PluginReload
from plugins.loader import Plugin, PluginFailure


def plugins_family(control: PluginControl) -> Family:
    """`/plugins`."""
    return Family(
        partial(_blueprint, control),
        (
            Operation("GET", "/api/v1/plugins", "Plugin modules, those that failed too"),
            Operation("POST", "/api/v1/plugins/reload", "Pick up what changed of plugin modules"),
        ),
    )


def _blueprint(control: PluginControl) -> Blueprint:
    blueprint = Blueprint("plugins", __name__)

    @blueprint.get("/plugins")
    async def plugins() -> Response:
        requests.only(())
        return answer({"items": [_plugin(one) for one in control.plugins()]})

    @blueprint.post("/plugins/reload")
    async def reload() -> Response:
        requests.only(())
        return answer(_reload(await control.reload()))

    return blueprint


def _plugin(plugin: Plugin) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": plugin.name,
        "origin": plugin.origin,
        "file": plugin.file,
        "state": plugin.state,
        "declares": "" if plugin.declared is None else plugin.declared.words(),
        "loaded": datetime.fromtimestamp(plugin.loaded, UTC).isoformat(timespec="seconds") if plugin.loaded else None,
    }
    return shown if plugin.failure is None else shown | {"failure": _failure(plugin.failure)}


def _failure(failure: PluginFailure) -> dict[str, Any]:
    return asdict(failure)


def _reload(told: PluginReload) -> dict[str, Any]:
    return {
        "added": told.added,
        "changed": told.changed,
        "removed": told.removed,
        "failed": [_failure(one) for one in told.failed],
        "functions": told.functions,
        "connections": told.connections,
        "problems": told.problems,
        "folder": told.folder,
        "folder_is_there": told.folder_is_there,
    }
