import pytest

from actors.errors import ConfigurationError
from config.settings import MqttSettings
from daemon.listeners.admission import TOO_FAST, TOO_MANY, Admission, Source

FAR = "192.0.2.1"


def admission(**settings: object) -> Admission:
    return Admission(MqttSettings(**settings))  # type: ignore[arg-type]  # what a test says


def test_an_address_has_so_many_connections_and_no_more() -> None:
    """One that ends makes room for another; other addresses do not notice."""
    gate = admission(max_connections_per_address=2)
    first, second = (gate.admit(FAR, 0.0) for _ in range(2))
    assert isinstance(first, Source)
    assert second is first
    assert gate.admit(FAR, 0.0) == TOO_MANY
    assert isinstance(gate.admit("192.0.2.2", 0.0), Source)
    first.left()
    assert gate.connections == 2
    assert gate.admit(FAR, 0.0) is first


def test_an_address_connects_so_fast_and_no_faster() -> None:
    """Connections that close at once are counted all the same."""
    gate = admission(connection_rate_per_address=5)
    for _ in range(5):
        source = gate.admit(FAR, 0.0)
        assert isinstance(source, Source)
        source.left()
    assert gate.admit(FAR, 0.0) == TOO_FAST
    assert isinstance(gate.admit(FAR, 0.2), Source)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_not_bounded_by_address(host: str) -> None:
    """A proxy on this machine speaks for everybody; so does whoever tries things out."""
    gate = admission(max_connections_per_address=1, connection_rate_per_address=1)
    assert all(isinstance(gate.admit(host, 0.0), Source) for _ in range(10))
    assert (gate.connections, len(gate)) == (10, 0)


def test_trusted_networks_are_the_operators_choice() -> None:
    """None are trusted where none are written; one that is no network is told with the setting."""
    gate = admission(max_connections_per_address=1, trusted_networks=())
    assert isinstance(gate.admit("127.0.0.1", 0.0), Source)
    assert gate.admit("127.0.0.1", 0.0) == TOO_MANY
    gate = admission(max_connections_per_address=1, trusted_networks=("192.0.2.0/24",))
    assert all(isinstance(gate.admit(FAR, 0.0), Source) for _ in range(3))
    with pytest.raises(ConfigurationError, match=r"mqtt\.trusted_networks.*10\.0\.0\.0/8"):
        admission(trusted_networks=("here",))


def test_sources_are_forgotten_once_they_have_gone() -> None:
    """A flood of addresses leaves nothing behind; one that is here, or came just now, is kept."""
    gate = admission(connection_rate_per_address=2)
    stays = gate.admit(FAR, 0.0)
    for number in range(5000):
        source = gate.admit(f"2001:db8:0:{number:x}::1", 0.0)
        assert isinstance(source, Source)
        source.left()
    gate.sweep(0.1)
    assert len(gate) == 5001
    gate.sweep(10.0)
    assert len(gate) == 1
    assert gate.admit(FAR, 10.0) is stays


def test_an_ipv6_network_is_one_source() -> None:
    """Another address of the same 64 bits is nobody new."""
    gate = admission(max_connections_per_address=1)
    assert isinstance(gate.admit("2001:db8::1", 0.0), Source)
    assert gate.admit("2001:db8::2", 0.0) == TOO_MANY
