"""Apps, products, devices and rules: the directory follows them, and sessions that lost their right end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, assert_never

from actors.device_session.broker import Broker
from actors.device_session.registry.rights_lost import recheck_waiting
from actors.device_session.registry.statuses import DeviceView
from actors.directory.identities import DeviceIdentity
from actors.gateway_route.flow.quotas import Quotas
from config.resources import (
    AnyResource,
    App,
    Connection,
    Device,
    Function,
    GatewayResource,
    Product,
    Rule,
    Task,
    Topic,
    User,
)
from config.resources.identity import Identity
from daemon.catalog.credentials import Credentials
from daemon.device_journal import restore
from daemon.engine import Change
from daemon.stages.failures import last_failure, shown_time
from daemon.store.model import DeviceStatus


class Access:
    """The stage of those who log in, and of what they may say."""

    kinds = ("app", "product", "device", "rule")

    def __init__(self, broker: Broker, credentials: Credentials, quotas: Quotas) -> None:
        self._broker = broker
        self._quotas = quotas
        self._directory = broker.directory
        self._credentials = credentials

    def load(self, resources: Iterable[AnyResource]) -> None:
        """Know everybody before the first one connects."""
        for resource in resources:
            self._put(resource)

    def remember(self, known: Iterable[DeviceStatus]) -> None:
        """Go on with what was known of the devices when the daemon ended; to be called once everybody is known.

        Whoever was connected when it ended without a drain went offline then, and who asks for that is told.
        """
        for name in restore(self._broker.statuses, known):
            product, _, device = name.partition("/")
            entry = self._directory.device(product, device)
            if entry is not None:
                identity = DeviceIdentity(product, device, entry.app)
                self._broker.lifecycle.offline(identity, None, self._broker.statuses.view(name).reason)

    async def follow(self, change: Change) -> None:
        """Put or remove; whoever is gone, disabled or has another secret is disconnected."""
        if change.after is None:
            self._remove(change.identity)
        else:
            self._put(change.after)
            self._disconnect_changed(change)

    def settle(self) -> None:
        """After changes: sessions give up what they have no right to any more."""
        self._broker.sessions.recheck()
        recheck_waiting(self._broker)

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """A device's life, and what an app has used of its quota; the other kinds do not run."""
        if identity.kind == "app":
            quota = self._quotas.statistics(identity.name)
            return {} if quota is None else {"quota": {**asdict(quota), "resets": _time(1000 * quota.resets)}}
        if identity.kind == "rule":
            return self._condition(identity.name)
        if identity.kind != "device":
            return {}
        product, _, name = identity.name.partition("/")
        return {
            "mqtt": {
                "username": identity.name,
                "client_id": name,
                "publish": f"{product}/out/{name}",
                "subscribe": f"{product}/in/{name}",
            },
            **_shown(self._broker.statuses.view(identity.name)),
        }

    def _condition(self, rule: str) -> Mapping[str, Any]:
        """What a rule's condition has decided since the start; a rule without one does not run by itself."""
        entry = self._directory.rule(rule)
        if entry is None or entry.condition is None:
            return {}
        statistics = self._broker.conditions.statistics(rule)
        shown = statistics._asdict()
        del shown["last_failure"]
        # Reasons only where there are any.
        told = {name: value for name, value in shown.items() if value != ""}
        return {"condition": told | last_failure(statistics.last_failure)}

    def disconnect_device(self, device: str, reason: str) -> bool:
        """End the sessions of `<product>/<device>`."""
        return self._broker.sessions.close_device(device, reason)

    def _put(self, resource: AnyResource) -> None:
        if isinstance(resource, GatewayResource):
            return
        match resource:
            case App():
                self._directory.put_app(self._credentials.app_entry(resource))
                self._quotas.put(resource.name, resource.quota)
            case Product():
                self._directory.put_product(resource)
            case Device():
                self._directory.put_device(self._credentials.device_entry(resource))
            case Rule():
                self._directory.put_rule(resource)
            case Topic() | Function() | Connection() | Task() | User():
                pass
            case _:
                assert_never(resource)

    def _remove(self, identity: Identity) -> None:
        match identity.kind:
            case "rule":
                self._directory.remove("rule", identity.name)
                self._broker.conditions.forget(identity.name)
            case "app" | "product":
                self._directory.remove(identity.kind, identity.name)
            case "device":
                self._directory.remove("device", identity.name)
                self.disconnect_device(identity.name, "the device was deleted")
                self._broker.statuses.forget(identity.name)
        if identity.kind == "app":
            self._quotas.remove(identity.name)
            self._broker.sessions.close_app(identity.name, "the app was deleted")

    def _disconnect_changed(self, change: Change) -> None:
        match change.after:
            case Device(enabled=False):
                self.disconnect_device(change.identity.name, "the device was disabled")
            case Device() if "secret" in change.secrets:
                self.disconnect_device(change.identity.name, "the device has a new secret")
            case App(key=key) if "secret" in change.secrets or _key(change.before) != key:
                self._broker.sessions.close_app(change.identity.name, "the app has a new key or secret")
            case _:
                pass


def _key(resource: AnyResource | None) -> str | None:
    return resource.key if isinstance(resource, App) else None


def _shown(view: DeviceView) -> Mapping[str, Any]:
    return {
        "state": "online" if view.online else "offline",
        "since": _time(view.since),
        "reason": view.reason,
        "client_ids": list(view.client_ids),
        "addresses": list(view.addresses),
        "last_report": _time(view.last_report),
        "reports": view.reports,
        "rejected": view.rejected,
        "rejected_reports": [
            {"time": _time(report.time), "topic": report.topic, "reason": report.reason}
            for report in view.rejected_reports
        ],
    }


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return shown_time(milliseconds)
