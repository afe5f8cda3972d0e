"""Who is known: changes, log-in, lookups."""

from collections.abc import Callable
from hmac import digest

import pytest

from actors.directory.directory import Directory
from actors.directory.entries import AppEntry, DeviceEntry
from actors.directory.identities import AppIdentity, DeviceIdentity, DisabledDevice
from config.resources import Product, Property, Rule, RuleSource, RuleTarget, Service


def hashed(secret: bytes) -> bytes:
    return digest(b"instance key", secret, "sha256")


def app(name: str, *, key: str = "", secret: bytes = b"app-secret", codes: tuple[bytes, ...] = ()) -> AppEntry:
    return AppEntry(name, key or f"{name}-key", hashed(secret), tuple(map(hashed, codes)))


def device(name: str, *, secret: bytes = b"secret", enabled: bool = True) -> DeviceEntry:
    return DeviceEntry("sensor", name, "city", hashed(secret), enabled=enabled)


def rule(name: str, *sources: RuleSource) -> Rule:
    return Rule(app="city", name=name, sources=sources, to=(RuleTarget(topic="t"),))


@pytest.fixture
def directory() -> Directory:
    directory = Directory(hashed)
    directory.put_app(app("city", codes=(b"code-1", b"code-2")))
    directory.put_product(Product(app="city", name="sensor"))
    directory.put_device(device("lot-1"))
    directory.put_device(device("lot-2", secret=b"other", enabled=False))
    return directory


def test_a_device_logs_in_with_its_own_secret(directory: Directory) -> None:
    """`<product>/<device>` and the device's secret make a device identity."""
    assert directory.authenticate("sensor/lot-1", b"secret") == DeviceIdentity("sensor", "lot-1", "city")


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("sensor/lot-1", b"other"),
        ("sensor/lot-1", b""),
        ("sensor/lot-1", hashed(b"secret")),
        ("sensor/lot-9", b"secret"),
        ("other/lot-1", b"secret"),
        ("sensor/", b"secret"),
        ("/lot-1", b"secret"),
        ("/", b""),
        ("lot-1", b"secret"),
        ("sensor/lot-1/", b"secret"),
        ("", b""),
        ("city", b"app-secret"),
        ("city-key", b"secret"),
        ("city-key", b"code-1"),
        ("city-key/", b"app-secret"),
        ("é" * 100, b"\xff\x00"),
    ],
)
def test_wrong_names_and_secrets_are_nobody(directory: Directory, username: str, password: bytes) -> None:
    """An unknown name and a wrong secret get the same answer."""
    assert directory.authenticate(username, password) is None


def test_an_unknown_name_costs_a_digest_too() -> None:
    """Who asks cannot tell by the time it takes which names exist: each attempt digests its password once."""
    digested: list[bytes] = []

    def counting(secret: bytes) -> bytes:
        digested.append(secret)
        return hashed(secret)

    directory = Directory(counting)
    directory.put_device(device("lot-1"))
    for username in ("sensor/lot-1", "sensor/nobody", "nobody", ""):
        directory.authenticate(username, b"guess")
    assert digested == [b"guess"] * 4


def test_the_digest_of_nobody_lets_nobody_in() -> None:
    """Even a password whose digest equals the stand-in for unknown names finds nobody."""
    directory = Directory(lambda _secret: bytes(32))
    assert directory.authenticate("sensor/nobody", b"") is None
    assert directory.authenticate("nobody", b"") is None
    assert directory.app_by_code("") is None


def test_a_disabled_device_is_told_apart_once_it_shows_its_secret(directory: Directory) -> None:
    """A device that is switched off is not unknown (CONNACK 5, not 4), but only its own secret says so."""
    assert directory.authenticate("sensor/lot-2", b"other") == DisabledDevice("sensor", "lot-2")
    assert directory.authenticate("sensor/lot-2", b"secret") is None


def test_an_app_logs_in_with_key_and_secret(directory: Directory) -> None:
    """An app's user name is its key, not its name."""
    assert directory.authenticate("city-key", b"app-secret") == AppIdentity("city")


def test_apps_with_one_key_are_told_apart_by_their_secrets(directory: Directory) -> None:
    """While one manifest replaces another two apps may have one key; neither takes the other's place."""
    directory.put_app(app("town", key="city-key", secret=b"town-secret"))
    assert directory.authenticate("city-key", b"app-secret") == AppIdentity("city")
    assert directory.authenticate("city-key", b"town-secret") == AppIdentity("town")
    directory.remove("app", "town")
    assert directory.authenticate("city-key", b"town-secret") is None
    assert directory.authenticate("city-key", b"app-secret") == AppIdentity("city")


def test_app_codes_that_were_shown_before_are_no_other_ones(directory: Directory) -> None:
    """A code that was nobody's finds its app once it has one, however long it is, and is forgotten with it."""
    for code in ("early", "x" * 1000):
        assert directory.app_by_code(code) is None
        directory.put_app(app("late", codes=(code.encode(),)))
        for _ in range(2):
            found = directory.app_by_code(code)
            assert found is not None
            assert found.name == "late"
        directory.remove("app", "late")
        assert directory.app_by_code(code) is None
    directory.put_app(app("late", codes=(b"early",)))
    assert directory.app_by_code("early") is not None
    directory.remove("app", "late")
    assert directory._digest_of_code.cache_info().currsize == 0


def test_app_codes_find_their_app(directory: Directory) -> None:
    """Each AppCode names its app until it is taken away."""
    found = directory.app_by_code("code-2")
    assert found is not None
    assert found.name == "city"
    assert directory.app_by_code("app-secret") is None
    directory.put_app(app("city", codes=(b"code-1",)))
    assert directory.app_by_code("code-2") is None
    assert directory.app_by_code("code-1") is not None


def test_a_rotated_secret_counts_at_once(directory: Directory) -> None:
    """After a rotation the old secret is wrong and the new one right, for devices and apps; an old key is gone."""
    directory.put_device(device("lot-1", secret=b"new"))
    assert directory.authenticate("sensor/lot-1", b"secret") is None
    assert directory.authenticate("sensor/lot-1", b"new") is not None
    directory.put_app(app("city", key="new-key", secret=b"new"))
    assert directory.authenticate("city-key", b"app-secret") is None
    assert directory.authenticate("new-key", b"new") == AppIdentity("city")


def test_admits_follows_every_change(directory: Directory) -> None:
    """Who logged in is admitted until its entry is disabled or gone."""
    lot, city = DeviceIdentity("sensor", "lot-1", "city"), AppIdentity("city")
    assert directory.admits(lot)
    assert directory.admits(city)
    directory.put_device(device("lot-1", enabled=False))
    assert not directory.admits(lot)
    assert directory.knows(lot)
    directory.put_device(device("lot-1"))
    assert directory.admits(lot)
    directory.remove("device", "sensor/lot-1")
    assert not directory.admits(lot)
    directory.remove("app", "city")
    assert not directory.admits(city)
    assert not directory.knows(lot)
    assert not directory.knows(city)


CHANGES: list[Callable[[Directory], None]] = [
    lambda directory: directory.put_app(app("town")),
    lambda directory: directory.put_product(Product(app="city", name="meter")),
    lambda directory: directory.put_device(device("lot-3")),
    lambda directory: directory.put_rule(rule("r", RuleSource(product="sensor"))),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_version_rises_with_each_change_and_only_then(
    directory: Directory, change: Callable[[Directory], None]
) -> None:
    """Putting something new raises the version by one, putting the same again does not."""
    before = directory.version
    change(directory)
    assert directory.version == before + 1
    change(directory)
    assert directory.version == before + 1


def test_removing_raises_the_version_only_where_something_goes(directory: Directory) -> None:
    """Removing what is not there changes nothing; removing what is there raises the version."""
    directory.put_rule(rule("r", RuleSource(product="sensor")))
    before = directory.version
    for kind in ("app", "product", "device", "rule"):
        directory.remove(kind, "nobody/nothing")  # type: ignore[arg-type]
    assert directory.version == before
    directory.remove("app", "city")
    directory.remove("product", "sensor")
    directory.remove("device", "sensor/lot-1")
    directory.remove("rule", "r")
    assert directory.version == before + 4
    assert directory.app("city") is None
    assert directory.product("sensor") is None
    assert directory.device("sensor", "lot-1") is None
    assert directory.rules("sensor", "lot-1") == []


def test_rules_are_found_by_product_and_by_device(directory: Directory) -> None:
    """A device's rules are those of all devices of its product and those that name it, each once, by name."""
    directory.put_rule(rule("c-all", RuleSource(product="sensor")))
    directory.put_rule(rule("a-named", RuleSource(product="sensor", devices=("lot-1", "lot-3"))))
    directory.put_rule(rule("b-both", RuleSource(product="sensor"), RuleSource(product="sensor", devices=("lot-1",))))
    directory.put_rule(rule("d-other", RuleSource(product="meter")))
    assert [found.name for found in directory.rules("sensor", "lot-1")] == ["a-named", "b-both", "c-all"]
    assert [found.name for found in directory.rules("sensor", "lot-2")] == ["b-both", "c-all"]
    assert [found.name for found in directory.rules("meter", "lot-1")] == ["d-other"]


def test_a_changed_rule_leaves_its_old_places(directory: Directory) -> None:
    """A rule that moves to other devices is no longer found where it was."""
    directory.put_rule(rule("r", RuleSource(product="sensor", devices=("lot-1",))))
    directory.put_rule(rule("r", RuleSource(product="sensor", devices=("lot-2",))))
    assert directory.rules("sensor", "lot-1") == []
    assert [found.name for found in directory.rules("sensor", "lot-2")] == ["r"]
    directory.remove("rule", "r")
    assert directory._rules_by_source == {}


def test_a_product_is_compiled_once_for_each_of_its_versions(directory: Directory) -> None:
    """The checker of a product is kept until the product changes, and is gone with it."""
    assert directory.checker("sensor") is None
    status = Property(name="status", type="string")
    directory.put_product(Product(app="city", name="sensor", services=(Service(name="S", properties=(status,)),)))
    check = directory.checker("sensor")
    assert check is not None
    assert directory.checker("sensor") is check
    directory.put_product(Product(app="city", name="sensor"))
    assert directory.checker("sensor") is None
    directory.remove("product", "sensor")
    assert directory.checker("sensor") is None
