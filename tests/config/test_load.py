"""Settings and secrets: file, environment, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import SecretError, SettingsError
from config.load import Difference, differences, load_settings, resolve_secret
from config.resources import SecretReference
from config.settings import Settings, TlsSettings, TopicGatewaySettings


def refused(file: Path | None, environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_settings(file, environ)
    return [str(problem) for problem in refusal.value.problems]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("penstock.yaml")


def test_without_file_and_environment_there_are_the_defaults() -> None:
    """Defaults live in config.settings and only there."""
    assert load_settings(None, {"HOME": "/root"}) == Settings()
    assert differences(Settings()) == []


def test_the_environment_overrides_the_file(file: Path) -> None:
    """Two underscores go one level down; what is not overridden stays."""
    file.write_text("mqtt:\n  listen: {host: 0.0.0.0, port: 1884}\ndrain_seconds: 5\n")
    settings = load_settings(file, {"PENSTOCK_MQTT__LISTEN__PORT": "0", "PENSTOCK_LOGGING__LEVEL": "debug"})
    assert differences(settings) == [
        Difference("mqtt.listen.host", "0.0.0.0", "127.0.0.1"),
        Difference("mqtt.listen.port", 0, 1883),
        Difference("logging.level", "debug", "info"),
        Difference("drain_seconds", 5.0, 20.0),
    ]


def test_the_environment_says_lists_and_mappings_in_brackets() -> None:
    """As the file does; what is wrong in them is told with the variable."""
    environ = {
        "PENSTOCK_FUNCTIONS__SCRIPT_CONNECTIONS": '["127.0.0.1:3306/db", db.plant:3306/lots]',
        "PENSTOCK_CONTROL__LISTEN": "{port: 0}",
    }
    assert differences(load_settings(None, environ)) == [
        Difference("control.listen.port", 0, 8090),
        Difference("functions.script_connections", ("127.0.0.1:3306/db", "db.plant:3306/lots"), ()),
    ]
    environ = {
        "PENSTOCK_FUNCTIONS__SCRIPT_CONNECTIONS": "[nowhere]",
        "PENSTOCK_MQTT__LISTEN": "{prt: 1}",
        "PENSTOCK_PLUGINS__PATH": "[x",
        "PENSTOCK_TOPICS__LISTEN": "{port:",
    }
    assert refused(None, environ) == [
        (
            "PENSTOCK_FUNCTIONS__SCRIPT_CONNECTIONS: $.functions.script_connections[0]: expected a database "
            "(host:port/database, such as 127.0.0.1:3306/db), got 'nowhere'"
        ),
        "PENSTOCK_MQTT__LISTEN: $.mqtt.listen: unknown field `prt`; did you mean `port`?",
        "PENSTOCK_TOPICS__LISTEN: $.topics.listen: expected a mapping, got '{port:'",
    ]


@pytest.mark.parametrize("listener", ["mqtt", "gateway", "control"])
def test_a_listener_keeps_its_own_port_where_only_its_host_is_written(file: Path, listener: str) -> None:
    """Who opens a listener to the network finds it on the port that the manual names."""
    file.write_text(f"{listener}:\n  listen: {{host: 0.0.0.0}}\n")
    opened = Difference(f"{listener}.listen.host", "0.0.0.0", "127.0.0.1")
    assert differences(load_settings(file, {})) == [opened]
    assert differences(load_settings(None, {f"PENSTOCK_{listener.upper()}__LISTEN__HOST": "0.0.0.0"})) == [opened]


def test_a_section_that_is_not_there_by_default_is_a_difference() -> None:
    """As a whole: there is nothing to hold its fields against."""
    tls = TlsSettings(certificate="c", key="k")
    settings = Settings(topics=TopicGatewaySettings(tls=tls))
    assert differences(settings) == [Difference("topics.tls", tls, None)]


def test_an_empty_file_says_nothing(file: Path) -> None:
    """Comments only: the defaults."""
    file.write_text("# nothing yet\n")
    assert load_settings(file, {}) == Settings()


def test_variables_that_are_no_settings_are_left_alone() -> None:
    """The command line's own, and what others call PENSTOCK_something."""
    assert load_settings(None, {"PENSTOCK_DATA": "x", "PENSTOCK_TOKEN": "y", "PENSTOCK_PORT": "tcp://1"}) == Settings()


def test_mistakes_name_line_or_variable(file: Path) -> None:
    """All of them, each where it was written."""
    file.write_text("mqtt:\n  listen: {port: 70000, prt: 1}\nlog: 5\n")
    environ = {
        "PENSTOCK_GATEWAY__LISTEN__PORT": "abc",
        "PENSTOCK_MQT__X": "1",
        "PENSTOCK_LOGGING__LEVEL": "DEBUG",
        "PENSTOCK_TASKS": "1",
    }
    assert refused(file, environ) == [
        "penstock.yaml:2: $.mqtt.listen.port: must be at most 65535, got 70000",
        "penstock.yaml:2: $.mqtt.listen: unknown field `prt`; did you mean `port`?",
        "penstock.yaml:3: $.log: expected a mapping, got 5",
        "PENSTOCK_GATEWAY__LISTEN__PORT: $.gateway.listen.port: expected a whole number, got 'abc'",
        (
            "PENSTOCK_LOGGING__LEVEL: $.logging.level: Invalid enum value 'DEBUG', expected one of debug, error, info, "
            "warning"
        ),
        "PENSTOCK_MQT__X: $: unknown field `mqt`; did you mean `mqtt`?",
        "PENSTOCK_TASKS: $.tasks: expected a mapping, got 1",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "penstock.yaml:1: while parsing a flow node, did not find expected node content"),
        ("drain_seconds: 1\n---\ndrain_seconds: 2\n", ("penstock.yaml:3: settings are one document; a second one "
         "begins here")),
        ("- 1\n", "penstock.yaml:1: $: expected a mapping, got a list"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_settings_is_refused(file: Path, text: str, reason: str) -> None:
    """Not YAML, more than one document, no mapping."""
    file.write_text(text)
    assert refused(file, {}) == [reason]


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    """A file that was named must be there."""
    assert refused(file, {}) == ["penstock.yaml: cannot be read: No such file or directory"]


def test_secrets_come_from_where_they_are_written(tmp_path: Path) -> None:
    """Text, environment, file, default; nothing for one that was left out."""
    path = tmp_path / "secret"
    path.write_text("from a file\n")
    environ = {"SET": "from the environment", "EMPTY": ""}
    assert resolve_secret("text", environ) == "text"
    assert resolve_secret(None, environ) is None
    assert resolve_secret(SecretReference(env="SET", default="x"), environ) == "from the environment"
    assert resolve_secret(SecretReference(env="EMPTY", default="x"), environ) == "x"
    assert resolve_secret(SecretReference(env="UNSET", default="x"), environ) == "x"
    assert resolve_secret(SecretReference(file=str(path)), environ) == "from a file"
    assert resolve_secret(SecretReference(file=str(tmp_path / "no"), default="x"), environ) == "x"


def test_a_secret_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    """The variable or the file is named, never a secret."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(SecretError, match="the environment variable UNSET is not set"):
        resolve_secret(SecretReference(env="UNSET"), {})
    for name, reason in (("no", "is not there"), ("empty", "is empty"), ("binary", "not UTF-8"), (".", "directory")):
        with pytest.raises(SecretError, match=reason):
            resolve_secret(SecretReference(file=str(tmp_path / name)), {})
