"""Everything that a session or a route asks about who is known and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from hmac import compare_digest
from typing import Final, Literal, TypeVar, assert_never

from actors.directory.acl import Acl, Granted
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AnonymousIdentity, AppIdentity, DeviceIdentity, DisabledDevice, Identity
from actors.directory.rights import NO_RIGHTS, Rights
from actors.directory.thing_model import Checker, compile_checker
from config.resources import Product, Rule, RuleSource

# AppCodes whose digests are remembered, and how long such a code may be.
_CODES_REMEMBERED = 1024
_LONGEST_REMEMBERED = 256

K = TypeVar("K")
V = TypeVar("V")

Kind = Literal["app", "product", "device", "rule"]

# Stands in for the digest of somebody unknown, so that asking for them costs the same.
_NOBODY = bytes(32)
# Rights that are kept compiled; past this they are compiled anew.
_RIGHTS_KEPT: Final = 4_096


class Directory:
    """Apps, products, devices and rules as they are now; each change is O(1) and raises `version`.

    Whatever is derived from it may be kept until `version` changes. Putting what is already there changes nothing.
    `digest` is HMAC-SHA-256 under the instance key; entries hold digests made by it.
    """

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self.version = 0
        self._digest = digest
        # What was shown lately: digesting is half of what a call with an AppCode costs.
        self._digest_of_code = lru_cache(_CODES_REMEMBERED)(lambda code: digest(code.encode()))
        self._apps: dict[str, AppEntry] = {}
        # Nothing keeps two apps from having the same key or code while one manifest replaces another.
        self._apps_by_key: dict[str, dict[str, AppEntry]] = {}
        self._apps_by_code: dict[bytes, dict[str, AppEntry]] = {}
        self._products: dict[str, Product] = {}
        self._products_by_app: dict[str, dict[str, Product]] = {}
        self._checkers: dict[str, Checker | None] = {}
        self._acls: dict[str, Acl] = {}
        self._rights: dict[Identity, Rights] = {}
        self._rights_version = 0
        self._devices: dict[tuple[str, str], DeviceEntry] = {}
        self._rules: dict[str, Rule] = {}
        # By product, and by the device that a source names or None where it takes all of them.
        self._rules_by_source: dict[tuple[str, str | None], dict[str, Rule]] = {}
        self._lifecycle_rules: set[str] = set()

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
        self._forget_product(product.name)
        self._products[product.name] = product
        for app in _users(product):
            self._products_by_app.setdefault(app, {})[product.name] = product
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
        if any(source.lifecycle for source in sources(rule)):
            self._lifecycle_rules.add(rule.name)
        self.version += 1

    def remove(self, kind: Kind, name: str) -> None:
        """Take something away, where it is there; a device's name is `<product>/<device>`."""
        match kind:
            case "app":
                found: object = self._forget_app(name)
            case "product":
                found = self._forget_product(name)
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

    def rule(self, name: str) -> Rule | None:
        """A rule, or None where there is none."""
        return self._rules.get(name)

    def rules(self, product: str, device: str) -> list[Rule]:
        """The rules, enabled or not, that have this device among their sources, in the order of their names."""
        of_all = self._rules_by_source.get((product, None), {})
        of_one = self._rules_by_source.get((product, device), {})
        return [rule for _, rule in sorted({**of_all, **of_one}.items())]

    @property
    def has_lifecycle_rules(self) -> bool:
        """Whether any rule asks for the events of connections; where none does, nobody needs to make them."""
        return bool(self._lifecycle_rules)

    def rights(self, identity: Identity) -> Rights:
        """What a client may do, compiled; those of one that is gone or switched off are none.

        What is held of it is good until `version` changes.
        """
        if self._rights_version != self.version or len(self._rights) >= _RIGHTS_KEPT:
            self._rights.clear()
            self._rights_version = self.version
        found = self._rights.get(identity)
        if found is None:
            found = self._rights[identity] = self._compile(identity)
        return found

    def passer_by(self, product: str, client_id: str) -> AnonymousIdentity | None:
        """A client without a user name, as a passing device of a product.

        None where there is no such product, or where the client id is the name of one of its devices: that name is
        the device's, who shows a secret for it.
        """
        identity = AnonymousIdentity(product, client_id)
        return identity if self.admits(identity) else None

    def authenticate(self, username: str, password: bytes) -> DeviceIdentity | AppIdentity | DisabledDevice | None:
        """Find out who this is: a device by `<product>/<device>` and its secret, an app by its key and secret.

        None where the name is not known or the secret is wrong (CONNACK 4); both take the same time. A device that
        is switched off is told apart only once it has shown its secret (CONNACK 5).
        """
        presented = self._digest(password)
        product, slash, name = username.partition("/")
        if slash:
            return _device_identity(self._devices.get((product, name)), presented)
        return _app_identity(self._apps_by_key.get(username, {}).values(), presented)

    def has_user(self, username: str) -> bool:
        """Whether a user name is somebody's: a device's, as `<product>/<device>`, or an app's key."""
        product, slash, name = username.partition("/")
        return (product, name) in self._devices if slash else username in self._apps_by_key

    def certified(self, names: Iterable[str]) -> DeviceIdentity | DisabledDevice | None:
        """The device that one of a trusted certificate's names is, as `<product>/<device>`; the first one counts."""
        for name in names:
            product, _, device = name.partition("/")
            found = self._devices.get((product, device))
            if found is not None:
                return _identity(found)
        return None

    def admits(self, identity: Identity) -> bool:
        """Whether one who logged in earlier still exists and is enabled."""
        match identity:
            case DeviceIdentity(product, name):
                device = self._devices.get((product, name))
                return device is not None and device.enabled
            case AppIdentity(app):
                return app in self._apps
            case AnonymousIdentity(product, client_id):
                return product in self._products and (product, client_id) not in self._devices
            case _:
                assert_never(identity)

    def knows(self, identity: Identity) -> bool:
        """Whether one who logged in earlier still exists, though it may be switched off for now."""
        if isinstance(identity, DeviceIdentity):
            return (identity.product, identity.device) in self._devices
        return self.admits(identity)

    def app_by_code(self, code: str) -> AppEntry | None:
        """The app that one of its AppCodes names."""
        # Looked up by digest: how long it takes says nothing about the codes themselves. Nor does it of what was shown
        # lately: hashes of texts are keyed, and only texts with the same hash are compared.
        digest = self._digest_of_code(code) if len(code) <= _LONGEST_REMEMBERED else self._digest(code.encode())
        for app in self._apps_by_code.get(digest, {}).values():
            return app
        return None

    def apps_by_key(self, key: str) -> Iterable[AppEntry]:
        """The apps that have this key: one, but for a moment while one manifest replaces another."""
        return self._apps_by_key.get(key, {}).values()

    def _compile(self, identity: Identity) -> Rights:
        if not self.admits(identity):
            return NO_RIGHTS
        match identity:
            case DeviceIdentity(product, device):
                acl = self._acl(product)
                return NO_RIGHTS if acl is None else self._within(product, acl.of_device(device))
            case AnonymousIdentity(product, client_id):
                acl = self._acl(product)
                return NO_RIGHTS if acl is None else self._within(product, acl.of_passer_by(client_id))
            case AppIdentity(app):
                lists = [acl for name in self._products_by_app.get(app, ()) if (acl := self._acl(name)) is not None]
                return Rights(tuple(acl.of_app() for acl in lists), partial(self._is_foreign, app))
            case _:
                assert_never(identity)

    def _within(self, product: str, granted: Granted) -> Rights:
        return Rights((granted,), partial(self._is_foreign, self._products[product].app))

    def _is_foreign(self, app: str, name: str) -> bool:
        """Whether there is a product of this name that the app does not use."""
        return name in self._products and name not in self._products_by_app.get(app, ())

    def _acl(self, product: str) -> Acl | None:
        if product not in self._acls and product in self._products:
            self._acls[product] = Acl(self._products[product])
        return self._acls.get(product)

    def _forget_product(self, name: str) -> Product | None:
        product = self._products.pop(name, None)
        if product is not None:
            self._checkers.pop(name, None)
            self._acls.pop(name, None)
            for app in _users(product):
                _discard(self._products_by_app, app, name)
        return product

    def _forget_app(self, name: str) -> AppEntry | None:
        app = self._apps.pop(name, None)
        if app is not None:
            _discard(self._apps_by_key, app.key, name)
            for code in set(app.codes):
                _discard(self._apps_by_code, code, name)
            if app.codes:
                self._digest_of_code.cache_clear()  # no code is kept in memory once it is nobody's
        return app

    def _forget_rule(self, name: str) -> Rule | None:
        rule = self._rules.pop(name, None)
        self._lifecycle_rules.discard(name)
        if rule is not None:
            for place in _places(rule):
                _discard(self._rules_by_source, place, name)
        return rule


def sources(rule: Rule) -> tuple[RuleSource, ...]:
    """The sources of a rule, which may be written as one or as several."""
    return rule.sources if isinstance(rule.sources, tuple) else (rule.sources,)


def _users(product: Product) -> set[str]:
    """The apps that may use a product: its own, and those that it is shared with."""
    return {product.app, *product.shared_with}


def _places(rule: Rule) -> set[tuple[str, str | None]]:
    """Where a rule is to be found: product and device, or product and None for all of its devices."""
    places: set[tuple[str, str | None]] = set()
    for source in sources(rule):
        devices: Iterable[str | None] = (None,) if source.devices == "all" else source.devices
        places.update((source.product, device) for device in devices)
    return places


def _device_identity(device: DeviceEntry | None, presented: bytes) -> DeviceIdentity | DisabledDevice | None:
    matched = compare_digest(device.secret if device is not None else _NOBODY, presented)
    return _identity(device) if device is not None and matched else None


def _identity(device: DeviceEntry) -> DeviceIdentity | DisabledDevice:
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
