from config.load import load_settings
from config.ports import on_free_ports, port_variables
from config.settings import Settings


def test_every_listener_is_among_the_port_variables() -> None:
    """Whoever sets all of them starts a daemon beside any other; each names the port that it replaces."""
    variables = port_variables()
    assert variables["PENSTOCK_MQTT__LISTEN__PORT"] == 1883
    assert variables["PENSTOCK_MQTT__TLS__PORT"] == 8883
    assert variables["PENSTOCK_MQTT__WEBSOCKET__PORT"] == 8083
    assert variables["PENSTOCK_TOPICS__LISTEN__PORT"] == 9292
    assert variables["PENSTOCK_GATEWAY__HTTPS__PORT"] == 8443
    assert load_settings(None, dict.fromkeys(variables, "0")) == on_free_ports(Settings())


def test_settings_on_free_ports_keep_everything_else() -> None:
    """Nothing but ports is changed, and in every section."""
    free = on_free_ports(Settings())
    assert (free.mqtt.tls.port, free.mqtt.websocket.port, free.control.listen.port) == (0, 0, 0)
    assert free.mqtt.websocket.path == "/mqtt"
    assert free.log == Settings().log
