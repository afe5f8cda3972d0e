import pytest

from daemon.listeners.client_names import names_in


def certificate(common_name: str = "", *alternatives: tuple[str, str]) -> dict[str, object]:
    """As `ssl` shows a certificate."""
    subject = ((("organizationName", "Plant"),), (("commonName", common_name),)) if common_name else ()
    return {"subject": subject, "subjectAltName": alternatives}


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        (None, ()),
        ({}, ()),
        (certificate("sensor/lot-1"), ("sensor/lot-1",)),
        (certificate("lot-1"), ()),
        (certificate("sensor/lot-1/x"), ()),
        (certificate("/lot-1"), ()),
        (certificate("", ("URI", "spiffe://plant.example/sensor/lot-1")), ("sensor/lot-1",)),
        (certificate("", ("URI", "penstock:/sensor/10%3A20%3A30")), ("sensor/10:20:30",)),
        (certificate("", ("URI", "spiffe://plant.example/a/sensor/lot-1")), ()),
        (certificate("", ("URI", "spiffe://plant.example/sensor/lot%2F1")), ()),
        (certificate("", ("URI", "http://[/sensor/lot-1")), ()),
        (certificate("", ("DNS", "sensor/lot-1")), ()),
        (certificate("sensor/a", ("URI", "x:/sensor/a"), ("URI", "x:/sensor/b")), ("sensor/a", "sensor/b")),
    ],
)
def test_a_certificate_speaks_for_the_devices_it_names(shown: dict[str, object] | None, names: tuple[str, ...]) -> None:
    """A device stands in the common name or is the path of a URI; nothing else in a certificate becomes one."""
    assert names_in(shown) == names
