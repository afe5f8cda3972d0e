"""Reports against the thing model of their product."""

import json
from typing import Any

import pytest

from actors.directory.thing_model import REASON_LENGTH, Checker, check_json, compile_checker
from config.resources import Product, Property, Service


def checker(*properties: Property) -> Checker:
    return product_checker(Service(name="S", properties=properties))


def product_checker(*services: Service) -> Checker:
    check = compile_checker(Product(app="a", name="p", services=services))
    assert check is not None
    return check


def report(value: Any) -> bytes:
    return json.dumps({"x": value}).encode()


PARKING = Service(
    name="ParkingStatus",
    properties=(
        Property(name="deviceId", type="string", max_length=64),
        Property(name="status", type="string", max_length=16, enum=("0", "1")),
    ),
)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"deviceId":"lot-1","status":"0"}', None),
        (b' {"status":"1","deviceId":"lot-1"}\n', None),
        (b'{"deviceId":"lot-1","status":"1","battery":[1,{"a":null}]}', None),
        (b'{"deviceId":"lot-1"}', "ParkingStatus.status: is missing"),
        (b'{"status":"0"}', "ParkingStatus.deviceId: is missing"),
        (b"{}", "ParkingStatus.deviceId: is missing"),
        (b'{"deviceId":"lot-1","status":"2"}', "ParkingStatus.status: is none of '0', '1'"),
        (b'{"deviceId":"lot-1","status":0}', "ParkingStatus.status: Expected string, got integer"),
        (b'{"deviceId":null,"status":"0"}', "ParkingStatus.deviceId: Expected string, got `null`"),
        (b'{"deviceId":{},"status":"0"}', "ParkingStatus.deviceId: Expected string, got `object`"),
        (b"[]", "the payload is not a JSON object: Expected `object`, got `array`"),
        (b'"x"', "the payload is not a JSON object: Expected `object`, got string"),
        (b"", "the payload is not JSON"),
        (b'{"deviceId":"lot-1","status":"0"', "the payload is not JSON"),
        (b'{"deviceId":"lot-1","status":"0"}x', "the payload is not JSON"),
        (b"{'deviceId':'lot-1','status':'0'}", "the payload is not JSON"),
        (b'{"deviceId":"lot-1","status":"0","x":NaN}', "the payload is not JSON"),
        (b'{"deviceId":"\xff","status":"0"}', "the payload is not UTF-8"),
        (b'{"deviceId":"lot-1","status":"0","note":"\xff"}', "the payload is not UTF-8"),
        (b'\xef\xbb\xbf{"deviceId":"lot-1","status":"0"}', "the payload is not JSON"),
        (b'{"deviceId":"lot-1","status":"0","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_the_parking_sensor(payload: bytes, reason: str | None) -> None:
    """A report keeps every rule of its product, or the reason names service and property."""
    found = product_checker(PARKING)(payload)
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found


def test_length_counts_characters() -> None:
    """`max_length` counts characters, not bytes."""
    check = checker(Property(name="x", type="string", max_length=3))
    assert check(report("äöü")) is None
    assert check('{"x":"äöü"}'.encode()) is None
    assert check(report("abcd")) == "S.x: Expected string of length <= 3"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", [b'"a"', b'""'], [b"1", b"true", b"null", b"[]"]),
        ("integer", [b"1", b"-5", b"0", b"123456789012345678901234567890"], [b"1.0", b"1e3", b"true", b'"1"', b"null"]),
        ("number", [b"1", b"1.5", b"-1e3"], [b"true", b'"1"', b"null", b"1e999"]),
        ("boolean", [b"true", b"false"], [b"0", b"1", b'"true"', b"null"]),
    ],
)
def test_types_are_those_of_json(kind: Any, good: list[bytes], bad: list[bytes]) -> None:
    """Types are told apart as written: a boolean is no integer, `1.0` is none either, null is nothing."""
    check = checker(Property(name="x", type=kind))
    for value in good:
        assert check(b'{"x":' + value + b"}") is None, value
    for value in bad:
        reason = check(b'{"x":' + value + b"}")
        assert reason is not None, value
        assert reason.startswith("S.x: ")


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_bounds_are_inclusive(kind: Any) -> None:
    """A value at `min` or `max` is good, one beyond is not."""
    check = checker(Property(name="x", type=kind, min=-2, max=5))
    assert check(report(-2)) is None
    assert check(report(5)) is None
    assert check(report(-3)) is not None
    assert check(report(6)) is not None
    assert check(report(10**30)) is not None


def test_bounds_with_fractions() -> None:
    """An integer keeps a bound with a fraction, a number keeps it exactly."""
    check = checker(Property(name="x", type="integer", min=0.5, max=2.5))
    assert [check(report(x)) is None for x in (0, 1, 2, 3)] == [False, True, True, False]
    check = checker(Property(name="x", type="number", min=0.5))
    assert [check(report(x)) is None for x in (0.49, 0.5, 1e300)] == [False, True, True]


def test_bounds_beyond_64_bits() -> None:
    """Bounds that no machine integer holds are kept too."""
    check = checker(Property(name="x", type="integer", min=-(10**30), max=10**30))
    assert check(report(10**30)) is None
    assert check(report(10**30 + 1)) is not None
    assert check(report(-(10**30) - 1)) is not None


@pytest.mark.parametrize(
    ("prop", "good", "bad"),
    [
        (Property(name="x", type="string", enum=("a", "b")), ["a", "b"], ["c", ""]),
        (Property(name="x", type="integer", enum=(1, 2)), [1, 2], [3, 0]),
        (Property(name="x", type="integer", enum=(1, 10**20)), [1, 10**20], [2]),
        (Property(name="x", type="number", enum=(1, 2.5)), [1, 1.0, 2.5], [2]),
        (Property(name="x", type="boolean", enum=(True,)), [True], [False]),
        (Property(name="x", type="string", enum=("a", "long"), max_length=2), ["a"], ["long"]),
        (Property(name="x", type="integer", enum=(1, 50), max=10), [1], [50]),
        (Property(name="x", type="string", enum=(1, 2)), [], ["1", 1]),
        (Property(name="x", type="boolean", enum=(1,)), [], [True, 1]),
    ],
)
def test_enumerations_of_every_type(prop: Property, good: list[Any], bad: list[Any]) -> None:
    """A value is one of the enumeration, of the property's type, and within its other bounds."""
    check = checker(prop)
    for value in good:
        assert check(report(value)) is None, value
    for value in bad:
        reason = check(report(value))
        assert reason is not None, value
        assert reason.startswith("S.x: ")


def test_optional_properties_may_be_missing_but_not_wrong() -> None:
    """`required: false` lets a property be left out; what is there is still checked."""
    check = checker(
        Property(name="x", type="integer", required=False, max=3),
        Property(name="y", type="number", required=False, enum=(1.5,)),
    )
    assert check(b"{}") is None
    assert check(b'{"x":3,"y":1.5}') is None
    assert check(b'{"x":4}') is not None
    assert check(b'{"x":null}') is not None
    assert check(b'{"y":2}') == "S.y: is none of 1.5"


def test_all_enabled_services_count() -> None:
    """A payload keeps every enabled service at once; the reason names the one that it breaks."""
    first = Service(name="A", properties=(Property(name="x", type="integer"),))
    second = Service(name="B", properties=(Property(name="y", type="integer"),))
    off = Service(name="C", enabled=False, properties=(Property(name="z", type="integer"),))
    check = product_checker(first, second, off)
    assert check(b'{"x":1,"y":2}') is None
    assert check(b'{"x":1}') == "B.y: is missing"
    assert check(b'{"y":1}') == "A.x: is missing"


def test_one_property_in_two_services_keeps_both() -> None:
    """Where two services speak of one property, a value keeps what either asks."""
    first = Service(name="A", properties=(Property(name="x", type="integer", min=0),))
    second = Service(name="B", properties=(Property(name="x", type="integer", max=10),))
    check = product_checker(first, second)
    assert check(report(5)) is None
    assert check(report(-1)) == "A.x: Expected integer >= 0"
    assert check(report(11)) == "B.x: Expected integer <= 10"


def test_without_enabled_services_any_payload_is_good() -> None:
    """A product without services has nothing to check; one whose service has no properties takes any object."""
    assert compile_checker(Product(app="a", name="p")) is None
    assert compile_checker(Product(app="a", name="p", services=(Service(name="S", enabled=False),))) is None
    check = product_checker(Service(name="S"))
    assert check(b'{"anything":1}') is None
    assert check(b"1") is not None


@pytest.mark.parametrize("name", ["class", "a b", "x`y", "$.x", " - at `$.", "é", "`", "p0"])
def test_any_property_name_works(name: str) -> None:
    """Names that mean something in Python, JSON paths or messages are names like others."""
    check = checker(Property(name=name, type="integer"), Property(name="other", type="integer"))
    assert check(json.dumps({name: 1, "other": 2}).encode()) is None
    assert check(b'{"other":2}') == f"S.{name}: is missing"
    assert check(json.dumps({name: "1", "other": 2}).encode()) == f"S.{name}: Expected integer, got string"


def test_reasons_are_short_and_never_quote_the_payload() -> None:
    """What a device sends can neither fill the log nor put lines into it."""
    check = checker(Property(name="x", type="string", enum=("a",)))
    reason = check(report("secret\n" * 1000))
    assert reason is not None
    assert "secret" not in reason
    many = checker(Property(name="x", type="string", enum=tuple(str(i) for i in range(1000))))
    assert len(many(report("no")) or "") <= REASON_LENGTH
    named = checker(Property(name="n" * 128, type="string"))
    assert len(named(b"{}") or "") <= REASON_LENGTH


@pytest.mark.parametrize("payload", [b"1", b'"x"', b"null", b'{"a":[]}', b" [1] ", '"é"'.encode()])
def test_json_values(payload: bytes) -> None:
    """Any one JSON value in UTF-8 is JSON."""
    assert check_json(payload) is None


@pytest.mark.parametrize("payload", [b"", b"{", b"1 2", b"\xff", b'"\xff"', b"nul", b"[" * 100_000, b'1,"device":{}'])
def test_not_json(payload: bytes) -> None:
    """Anything else is not, and says why."""
    assert check_json(payload) is not None
