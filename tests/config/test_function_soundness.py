"""What is told of a function where it is written, before anything is asked about its language."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import pytest

from config.function_soundness import function_flaws
from config.manifest import load
from config.resources import Function
from tests.fakes.platform_scripts import AUTHORIZER, DATABASE

ROOT = Path(__file__).parents[2]


def flaws(source: str) -> list[tuple[str, str]]:
    function = Function(name="f", app="a", language="javascript", source=source)
    return [(one.path, one.reason) for one in function_flaws(function)]


@pytest.mark.parametrize(
    "source",
    [
        "function main(data) { return 1 }",
        DATABASE.replace("function execute", "function find"),
        "const handler = { execute(data) { return 1 } }",
        "class Handler { execute(data) { return 1 } }",
        "function executeAll(data) { $execute(data) }",
        "return 1",
    ],
)
def test_a_script_without_execute_is_refused(source: str) -> None:
    """It is told what to write; that it calls somebody else's `execute` is not enough."""
    ((path, reason),) = flaws(source)
    assert path == "$.source"
    assert "`function execute(data) { ... }`" in reason


@pytest.mark.parametrize(
    "source",
    [
        AUTHORIZER,
        DATABASE,
        "async function execute(data) {}",
        "function* execute (data) {}",
        "function /* what is called */ execute(data) {}",
        "function\n  execute\n(data) {}",
        "const execute = data => 1",
        "execute = function (data) {}",
        "let shown, execute; execute = () => 1",
        "globalThis.execute = () => 1",
        "this['execute'] = () => 1",
        "({ execute } = { execute() { return 1 } })",
    ],
)
def test_a_script_that_may_have_execute_is_taken(source: str) -> None:
    """However it comes to have it: what is refused has it in no way."""
    assert flaws(source) == []


@pytest.mark.parametrize("script", ["function" + " " * 1_000_000, "execute(" * 100_000, "execute" + " " * 1_000_000])
def test_to_look_for_it_takes_no_time(script: str) -> None:
    """Whoever may write a script cannot make the daemon stand still with it."""
    started = perf_counter()
    flaws(script)
    assert perf_counter() - started < 5


@pytest.mark.parametrize(
    "file", [*sorted((ROOT / "daemon/function_templates").glob("*.yaml")), ROOT / "config/examples/functions.yaml"]
)
def test_what_is_there_to_start_from_has_what_is_called(file: Path) -> None:
    """No template or example is refused for it."""
    text = file.read_text(encoding="utf-8").replace("@NAME@", "f").replace("@APP@", "a")
    for document in load(text):
        if isinstance(document.resource, Function):
            assert list(function_flaws(document.resource)) == []
