"""The plugin loader: where connectors come from, and how those that fail are told."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from actors.errors import ConfigurationError
from config.resources import Connection
from plugins.api import ConnectorType
from plugins.loader import Connectors, load_connectors, prepare, settings_of

GOOD = """
import msgspec
from plugins.api import ConnectorType

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    token: str = ""

CONNECTOR = ConnectorType(name="{name}", settings=Settings, build=lambda settings, host: None, secrets=("token",))
"""


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("penstock_plugins.") or name == "penstock_sample":
            del sys.modules[name]


def drop(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_built_in_connectors_are_there() -> None:
    """Without a folder the built-in connectors are found, and none of them fails."""
    found = load_connectors()
    assert found.failures == ()
    assert {"sqlite", "postgres"} <= set(found.known())
    assert found.named("sqlite").name == "sqlite"


def test_a_folder_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    """Nobody has to make a folder for plugins."""
    assert load_connectors(tmp_path / "nowhere").failures == ()


def test_modules_and_packages_are_picked_up_from_the_folder(tmp_path: Path) -> None:
    """One file or one package is one connector; underscored names and other files are left alone."""
    drop(tmp_path, "acme.py", GOOD.format(name="acme"))
    drop(tmp_path, "big/__init__.py", GOOD.format(name="big"))
    drop(tmp_path, "_helper.py", "raise RuntimeError")
    drop(tmp_path, "notes.txt", "raise RuntimeError")
    drop(tmp_path, "__pycache__/x.py", "raise RuntimeError")
    found = load_connectors(tmp_path)
    assert found.failures == ()
    assert {"acme", "big", "sqlite"} <= set(found)


def test_a_module_of_the_folder_shadows_nothing(tmp_path: Path) -> None:
    """A plugin file named like a library leaves that library alone."""
    drop(tmp_path, "msgspec.py", GOOD.format(name="acme"))
    assert load_connectors(tmp_path).failures == ()
    assert sys.modules["msgspec"] is msgspec


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("import nowhere_to_be_found\n", 1, "No module named 'nowhere_to_be_found'"),
        ("\n\nx = = 1\n", 3, "SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\nf()\n", 2, "ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("class Panic(BaseException): ...\nraise Panic('no')\n", 2, "Panic: no"),
        ("x = 1\n", 1, "must declare CONNECTOR"),
        ("x = 1\nCONNECTOR = 5\n", 2, "has int there"),
        (GOOD.format(name="sqlite"), 9, "already"),
        (GOOD.format(name="no/good"), 9, "letters, digits"),
        (GOOD.format(name="acme").replace('("token",)', '("tokens",)'), 9, "tokens"),
        (GOOD.format(name="acme").replace(", forbid_unknown_fields=True", ""), 9, "forbid_unknown_fields"),
        (GOOD.format(name="acme").replace("settings=Settings", "settings=dict"), 9, "msgspec.Struct"),
        (GOOD.format(name="acme").replace("lambda settings, host: None", "None"), 9, "build"),
    ],
)
def test_a_failing_plugin_is_told_and_fails_alone(tmp_path: Path, text: str, line: int, reason: str) -> None:
    """File, line and reason are told; the plugin beside it and the built-in ones serve."""
    path = drop(tmp_path, "bad.py", text)
    drop(tmp_path, "good.py", GOOD.format(name="good"))
    found = load_connectors(tmp_path)
    (failure,) = found.failures
    assert (failure.plugin, failure.file, failure.line) == ("bad", str(path), line)
    assert reason in failure.reason
    assert {"good", "sqlite"} <= set(found)
    assert "acme" not in found


def test_a_folder_is_told_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is named from where the daemon stands, as `./var`, hides neither the file nor the line."""
    path = drop(tmp_path / "var", "bad.py", "\nimport nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    (failure,) = load_connectors(Path("var")).failures
    assert (failure.file, failure.line) == (str(path), 2)


def test_ctrl_c_while_plugins_are_imported_is_heard(tmp_path: Path) -> None:
    """What a person interrupts is no plugin that failed; in a thread, where no signal arrives, it is the plugin's."""
    drop(tmp_path, "bad.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_connectors(tmp_path)
    with ThreadPoolExecutor() as threads:
        (failure,) = threads.submit(load_connectors, tmp_path).result().failures
    assert failure.reason == "KeyboardInterrupt"


def test_an_unknown_connector_is_answered_with_those_there_are(tmp_path: Path) -> None:
    """Whoever asks for a connector that failed is told why it is not there."""
    drop(tmp_path, "bad.py", "import nowhere_to_be_found\n")
    with pytest.raises(ConfigurationError, match=r"no connector oracle; there are .*sqlite.*plugin bad failed: Module"):
        load_connectors(tmp_path).named("oracle")


@pytest.mark.parametrize("value", ["penstock_sample", "penstock_sample:CONNECTOR"])
def test_installed_packages_bring_connectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An entry point names a module, or the connector in it; one that cannot be loaded fails alone."""
    drop(tmp_path, "penstock_sample.py", GOOD.format(name="sample"))
    drop(tmp_path, "sample-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n")
    drop(
        tmp_path,
        "sample-1.0.dist-info/entry_points.txt",
        f"[penstock.plugins]\nsample = {value}\nlost = nowhere_to_be_found.at_all\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load_connectors()
    assert "sample" in found
    assert [failure.plugin for failure in found.failures] == ["lost (nowhere_to_be_found.at_all)"]


def sqlite_connection(**settings: object) -> Connection:
    return Connection(app="a", name="parking-db", connector="sqlite", settings=settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "missing required field `path` - at `$.settings`"),
        ({"path": 5}, "Expected `str`, got `int` - at `$.settings.path`"),
        ({"path": ""}, "- at `$.settings.path`"),
        ({"path": "a", "pathh": "b"}, "unknown field `pathh` - at `$.settings`"),
        ({"path": "a", "busy_timeout_ms": -1}, "- at `$.settings.busy_timeout_ms`"),
    ],
)
def test_settings_that_do_not_fit_are_told_with_their_path(settings: dict, told: str) -> None:
    """The error names the connection, the reason and where in it."""
    connector = load_connectors().named("sqlite")
    with pytest.raises(ConfigurationError) as caught:
        settings_of(sqlite_connection(**settings), connector)
    assert "connection parking-db: " in str(caught.value)
    assert told in str(caught.value)


def test_settings_may_be_given_apart_with_their_secrets() -> None:
    """What the store unsealed stands for what the resource shows."""
    connector = load_connectors().named("sqlite")
    settings = settings_of(sqlite_connection(), connector, {"path": "x.db"})
    assert msgspec.to_builtins(settings)["path"] == "x.db"


def test_connectors_are_a_mapping() -> None:
    """They can be asked and listed as any mapping."""
    found = load_connectors()
    again = Connectors(dict(found))
    assert list(again) == sorted(found)
    assert again.get("nowhere") is None
    assert len(again) == len(found)


# --- what is imported when ---


@pytest.mark.parametrize(("connector", "library"), [("postgres", "asyncpg"), ("mysql", "asyncmy")])
def test_a_library_is_imported_where_there_is_a_connection_for_it(connector: str, library: str) -> None:
    """Finding the connectors imports none of what speaks to servers; getting one ready imports its library alone."""
    code = (
        "import sys\nfrom plugins.loader import load_connectors\nfound = load_connectors()\n"
        "there = lambda: sorted({'asyncpg', 'asyncmy'} & sys.modules.keys())\n"
        f"print(there())\nfound.named({connector!r}).prepare()\nprint(there())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == f"[]\n['{library}']\n"


def made_ready_by(what: object) -> ConnectorType:
    return ConnectorType("slow", msgspec.Struct, lambda *_: None, prepare=what)  # type: ignore[arg-type, return-value]


async def test_connectors_get_ready_beside_the_loop() -> None:
    """An import takes its time in a thread; a connector that needs none is left alone."""
    threads: list[threading.Thread] = []
    await prepare(made_ready_by(lambda: threads.append(threading.current_thread())))
    await prepare(made_ready_by(None))
    (one,) = threads
    assert one is not threading.current_thread()


async def test_a_library_that_cannot_be_imported_is_told_with_its_connector() -> None:
    """Whatever an import raises is a configuration error that names connector and reason."""
    with pytest.raises(
        ConfigurationError, match=r"^connector slow cannot be used: ZeroDivisionError: division by zero$"
    ):
        await prepare(made_ready_by(lambda: 1 / 0))
