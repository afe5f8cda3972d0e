"""Plugin modules with functions, and plugins that are read anew while they are in use."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.errors import ConfigurationError
from plugins.loader import Plugins

GREET = """
from plugins.api import FunctionContext, function

@function
async def greet(data, context: FunctionContext):
    return "{word}, " + data
"""


IMPORT = "from plugins.api import function\n"


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("penstock_plugins"):
            del sys.modules[name]


def drop(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def said(plugins: Plugins, module: str = "greet") -> str:
    return str(await plugins.function(module).call("you", None))  # type: ignore[arg-type]


async def test_a_module_declares_a_function(tmp_path: Path) -> None:
    """An `async def` under @function is found by its module's name."""
    drop(tmp_path, "greet.py", GREET.format(word="hello"))
    plugins = Plugins.read_all(tmp_path)
    assert await said(plugins) == "hello, you"
    (greet,) = [one for one in plugins if one.origin == "file"]
    assert (greet.name, greet.state) == ("greet", "loaded")
    assert greet.declared is not None
    assert greet.declared.words() == "function"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GREET.replace("async def", "def").format(word=""), 4, "must be `async def`"),
        (GREET.replace("data, context: FunctionContext", "data").format(word=""), 4, "two arguments, `data`"),
        (GREET + "\n@function\nasync def more(data, context): ...\n", 1, "several functions (greet, more)"),
        (IMPORT + "async def all(items): ...\n@function(batch=all)\nasync def f(a, b): ...\n", 2, "arguments, `items`"),
        (IMPORT + "f = function(5)\n", 1, "cannot be called"),
        ("x = 1\n", 1, "or an `async def` under @function"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_used_is_told(tmp_path: Path, text: str, line: int, reason: str) -> None:
    """With file, line and reason; and whoever asks for it is told the same."""
    path = drop(tmp_path, "bad.py", text)
    plugins = Plugins.read_all(tmp_path)
    (failure,) = plugins.connectors.failures
    assert (failure.file, failure.line) == (str(path), line)
    assert reason in failure.reason
    with pytest.raises(ConfigurationError, match=r"plugin bad failed: .*bad\.py:"):
        plugins.function("bad")


def test_a_module_that_is_not_there_is_answered_with_those_there_are(tmp_path: Path) -> None:
    """And with what to do; a connector's module is told to be without a function."""
    drop(tmp_path, "greet.py", GREET.format(word="hello"))
    plugins = Plugins.read_all(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no plugin module gret; those with a function: greet; drop gret\.py"):
        plugins.function("gret")
    with pytest.raises(ConfigurationError, match=r"plugin sqlite \(.*\) declares no function"):
        plugins.function("sqlite")


async def test_modules_share_what_begins_with_an_underscore(tmp_path: Path) -> None:
    """By a relative import or the namespace; when it changes, those of the folder are read anew with it."""
    drop(tmp_path, "_words.py", "WORD = 'hello'\n")
    drop(tmp_path, "one.py", "from . import _words\n" + GREET.format(word="{_words.WORD}").replace('"{', 'f"{'))
    drop(tmp_path, "two.py", "from penstock_plugins._words import WORD\n" + GREET.replace('"{word}, "', "WORD + ', '"))
    plugins = Plugins.read_all(tmp_path)
    assert plugins.connectors.failures == ()
    assert [await said(plugins, name) for name in ("one", "two")] == ["hello, you", "hello, you"]
    drop(tmp_path, "_words.py", "WORD = 'servus'\n")
    assert set(plugins.adopt(plugins.read()).functions) == {"one", "two"}
    assert [await said(plugins, name) for name in ("one", "two")] == ["servus, you", "servus, you"]


async def test_reading_anew_takes_up_what_changed_and_nothing_else(tmp_path: Path) -> None:
    """What came, what changed (within the same second, of the same length) and what went; the rest stays as it is."""
    drop(tmp_path, "greet.py", GREET.format(word="hello"))
    drop(tmp_path, "stay.py", GREET.format(word="stay"))
    drop(tmp_path, "gone.py", GREET.format(word="gone"))
    plugins = Plugins.read_all(tmp_path)
    stays = plugins.function("stay")
    before = plugins.function("greet")
    drop(tmp_path, "greet.py", GREET.format(word="salut"))
    drop(tmp_path, "come.py", GREET.format(word="come"))
    (tmp_path / "gone.py").unlink()
    told = plugins.adopt(plugins.read())
    assert (told.added, told.changed, told.removed, told.failed) == (("come",), ("greet",), ("gone",), ())
    assert set(told.functions) == {"come", "greet", "gone"}
    assert await said(plugins) == "salut, you"
    assert plugins.function("stay") is stays
    assert await before.call("you", None) == "hello, you"  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        plugins.function("gone")
    assert not list(tmp_path.rglob("*.pyc"))  # noqa: ASYNC240 - nothing else runs


async def test_a_module_that_fails_when_it_is_read_anew_serves_on_as_it_was(tmp_path: Path) -> None:
    """It says so, with file and line, and is taken up once it is right again."""
    path = drop(tmp_path, "greet.py", GREET.format(word="hello"))
    plugins = Plugins.read_all(tmp_path)
    drop(tmp_path, "greet.py", "\n1 / 0\n")
    told = plugins.adopt(plugins.read())
    (failure,) = told.failed
    assert (told.changed, told.functions) == (("greet",), ())
    assert (failure.file, failure.line, failure.reason) == (str(path), 2, "ZeroDivisionError: division by zero")
    assert await said(plugins) == "hello, you"
    (greet,) = [one for one in plugins if one.origin == "file"]
    assert greet.state == "kept"
    assert plugins.adopt(plugins.read()).changed == ()
    drop(tmp_path, "greet.py", GREET.format(word="hello again"))
    assert plugins.adopt(plugins.read()).functions == ("greet",)
    assert await said(plugins) == "hello again, you"


def test_what_failed_for_want_of_something_else_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that did not change is imported anew where it failed before: what it lacked may be there now."""
    drop(tmp_path, "plugins/greet.py", "import penstock_wanted\n" + GREET.format(word="hello"))
    plugins = Plugins.read_all(tmp_path / "plugins")
    assert "penstock_wanted" in plugins.connectors.failures[0].reason
    drop(tmp_path, "library/penstock_wanted.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    try:
        assert plugins.adopt(plugins.read()).functions == ("greet",)
    finally:
        sys.modules.pop("penstock_wanted", None)


def test_a_connector_follows_its_module(tmp_path: Path) -> None:
    """Whoever holds the mapping of connectors sees the new one; what it replaces is named, to be built anew."""
    text = (
        "import msgspec\nfrom plugins.api import ConnectorType\n"
        "class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n    {field}: str\n"
        'CONNECTOR = ConnectorType(name="acme", settings=Settings, build=lambda settings, host: None)\n'
    )
    drop(tmp_path, "acme.py", text.format(field="url"))
    plugins = Plugins.read_all(tmp_path)
    connectors = plugins.connectors
    drop(tmp_path, "acme.py", text.format(field="uri"))
    assert plugins.adopt(plugins.read()).connectors == ("acme",)
    assert connectors["acme"].settings.__struct_fields__ == ("uri",)
    assert plugins.adopt(plugins.read()).connectors == ()


def test_the_first_module_of_a_name_stays(tmp_path: Path) -> None:
    """A module of the folder cannot take the place of a built-in one."""
    drop(tmp_path, "sqlite.py", GREET.format(word="hello"))
    plugins = Plugins.read_all(tmp_path)
    (failure,) = plugins.connectors.failures
    assert failure.reason == "there is a plugin sqlite already; choose another name"
    assert "sqlite" in plugins.connectors
