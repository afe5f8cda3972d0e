"""Everything that a session or a route asks about who is known and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hmac import compare_digest
from typing import Literal, TypeVar, assert_never

from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AppIdentity, DeviceIdentity, DisabledDevice, Identity
from actors.directory.thing_model import Checker, compile_checker
from config.resources import Product, Rule, RuleSource

K = TypeVar("K")
V = TypeVar("V")

Kind = Literal["app", "product", "device", "rule"]

# Stands in for the digest of somebody unknown, so that asking for them costs the same.
_NOBODY = bytes(32)


class Directory:
    """Apps, products, devices and rules as they are now; each change is O(1) and raises `version`.

    Whatever is derived from it may be kept until `version` changes. Putting what is already there changes nothing.
    `digest` is HMAC-SHA-256 under the instance key; entries hold digests made by it.
    """

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self.version = 0
        self._digest = digest
        self._apps: dict[str, AppEntry] = {}
        # Nothing keeps two apps from having the same key or code while one manifest replaces another.
        self._apps_by_key: dict[str, dict[str, AppEntry]] = {}
        self._apps_by_code: dict[bytes, dict[str, AppEntry]] = {}
        self._products: dict[str, Product] = {}
        self._checkers: dict[str, Checker | None] = {}
        self._devices: dict[tuple[str, str], DeviceEntry] = {}
        self._rules: dict[str, Rule] = {}
        # By product, and by the device that a source names or None where it takes all of them.
        self._rules_by_source: dict[tuple[str, str | None], dict[str, Rule]] = {}

    def put_app(self, app: AppEntry) -> None:
        """Add an app, or replace the one of that name."""
        if self._apps.get(app.name) == app:
            return
        self._forget_app(app.name)
        self._apps[app.name] = app
        self._apps_by_key.setdefault(app.key, {})[app.name] = app
        for code in app.codes:
            self._apps_by_code.setdefault(code, {})[app.name] = app
        self.version += 1

    def put_product(self, product: Product) -> None:
        """Add a product, or replace the one of that name."""
        if self._products.get(product.name) == product:
            return
        self._products[product.name] = product
        self._checkers.pop(product.name, None)
        self.version += 1

    def put_device(self, device: DeviceEntry) -> None:
        """Add a device, or replace the one of that name in its product."""
        if self._devices.get((device.product, device.name)) == device:
            return
        self._devices[device.product, device.name] = device
        self.version += 1

    def put_rule(self, rule: Rule) -> None:
        """Add a rule, or replace the one of that name."""
        if self._rules.get(rule.name) == rule:
            return
        self._forget_rule(rule.name)
        self._rules[rule.name] = rule
        for place in _places(rule):
            self._rules_by_source.setdefault(place, {})[rule.name] = rule
        self.version += 1

    def remove(self, kind: Kind, name: str) -> None:
        """Take something away, where it is there; a device's name is `<product>/<device>`."""
        match kind:
            case "app":
                found: object = self._forget_app(name)
            case "product":
                found = self._products.pop(name, None)
                self._checkers.pop(name, None)
            case "device":
                product, _, device = name.partition("/")
                found = self._devices.pop((product, device), None)
            case "rule":
                found = self._forget_rule(name)
            case _:
                assert_never(kind)
        if found is not None:
            self.version += 1

    def app(self, name: str) -> AppEntry | None:
        """The app of that name."""
        return self._apps.get(name)

    def product(self, name: str) -> Product | None:
        """The product of that name."""
        return self._products.get(name)

    def device(self, product: str, name: str) -> DeviceEntry | None:
        """The device of that name in a product."""
        return self._devices.get((product, name))

    def checker(self, product: str) -> Checker | None:
        """What checks a report of that product; None where it takes any payload, or is not known."""
        if product not in self._checkers and product in self._products:
            self._checkers[product] = compile_checker(self._products[product])
        return self._checkers.get(product)

    def rules(self, product: str, device: str) -> list[Rule]:
        """The rules, enabled or not, that have this device among their sources, in the order of their names."""
        of_all = self._rules_by_source.get((product, None), {})
        of_one = self._rules_by_source.get((product, device), {})
        return [rule for _, rule in sorted({**of_all, **of_one}.items())]

    def authenticate(self, username: str, password: bytes) -> Identity | DisabledDevice | None:
        """Find out who this is: a device by `<product>/<device>` and its secret, an app by its key and secret.

        None where the name is not known or the secret is wrong (CONNACK 4); both take the same time. A device that
        is switched off is told apart only once it has shown its secret (CONNACK 5).
        """
        presented = self._digest(password)
        product, slash, name = username.partition("/")
        if slash:
            return _device_identity(self._devices.get((product, name)), presented)
        return _app_identity(self._apps_by_key.get(username, {}).values(), presented)

    def admits(self, identity: Identity) -> bool:
        """Whether one who logged in earlier still exists and is enabled."""
        match identity:
            case DeviceIdentity(product, name):
                device = self._devices.get((product, name))
                return device is not None and device.enabled
            case AppIdentity(app):
                return app in self._apps
            case _:
                assert_never(identity)

    def app_by_code(self, code: str) -> AppEntry | None:
        """The app that one of its AppCodes names."""
        # Looked up by digest: how long it takes says nothing about the codes themselves.
        for app in self._apps_by_code.get(self._digest(code.encode()), {}).values():
            return app
        return None

    def apps_by_key(self, key: str) -> Iterable[AppEntry]:
        """The apps that have this key: one, but for a moment while one manifest replaces another."""
        return self._apps_by_key.get(key, {}).values()

    def _forget_app(self, name: str) -> AppEntry | None:
        app = self._apps.pop(name, None)
        if app is not None:
            _discard(self._apps_by_key, app.key, name)
            for code in set(app.codes):
                _discard(self._apps_by_code, code, name)
        return app

    def _forget_rule(self, name: str) -> Rule | None:
        rule = self._rules.pop(name, None)
        if rule is not None:
            for place in _places(rule):
                _discard(self._rules_by_source, place, name)
        return rule


def sources(rule: Rule) -> tuple[RuleSource, ...]:
    """The sources of a rule, which may be written as one or as several."""
    return rule.sources if isinstance(rule.sources, tuple) else (rule.sources,)


def _places(rule: Rule) -> set[tuple[str, str | None]]:
    """Where a rule is to be found: product and device, or product and None for all of its devices."""
    places: set[tuple[str, str | None]] = set()
    for source in sources(rule):
        devices: Iterable[str | None] = (None,) if source.devices == "all" else source.devices
        places.update((source.product, device) for device in devices)
    return places


def _device_identity(device: DeviceEntry | None, presented: bytes) -> DeviceIdentity | DisabledDevice | None:
    matched = compare_digest(device.secret if device is not None else _NOBODY, presented)
    if device is None or not matched:
        return None
    if not device.enabled:
        return DisabledDevice(device.product, device.name)
    return DeviceIdentity(product=device.product, device=device.name, app=device.app)


def _app_identity(apps: Iterable[AppEntry], presented: bytes) -> AppIdentity | None:
    identity = None
    for app in apps:
        if compare_digest(app.secret, presented):
            identity = AppIdentity(app.name)
    compare_digest(_NOBODY, presented)
    return identity


def _discard(index: dict[K, dict[str, V]], key: K, name: str) -> None:
    """Take one name out of an index, and the place with its last name."""
    entries = index.get(key)
    if entries is not None:
        entries.pop(name, None)
        if not entries:
            del index[key]
