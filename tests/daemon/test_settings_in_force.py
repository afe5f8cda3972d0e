from config.settings import LoggingSettings, MqttListen, MqttSettings, Settings
from daemon.settings_in_force import SettingsInForce


def test_what_is_live_is_taken_over_and_what_is_not_is_named() -> None:
    """Logging and the drain's deadline follow a reload; everything else keeps its value and is said to need a start."""
    started = Settings(mqtt=MqttSettings(listen=MqttListen(port=0)))
    in_force = SettingsInForce(started)
    reloaded = in_force.take(
        Settings(
            mqtt=MqttSettings(listen=MqttListen(port=1884)), logging=LoggingSettings(level="debug"), drain_seconds=3.0
        )
    )
    assert reloaded.changed == ("drain_seconds", "logging.level")
    assert reloaded.need_a_restart == ("mqtt.listen.port",)
    assert dict(in_force) == {"mqtt.listen.port": 0, "logging.level": "debug", "drain_seconds": 3.0}


def test_a_second_reload_tells_only_what_is_new() -> None:
    """Each reload is compared with what is in force, not with the start; going back to a default is a change too."""
    in_force = SettingsInForce(Settings())
    changed = Settings(drain_seconds=3.0)
    in_force.take(changed)
    assert in_force.take(changed).changed == ()
    assert in_force.take(Settings()).changed == ("drain_seconds",)
    assert dict(in_force) == {}
