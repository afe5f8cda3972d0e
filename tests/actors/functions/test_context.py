"""What functions may call: with the rights of their app, within bounds, in either language."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from actors.errors import ConnectorError, OutgoingCallError, ParameterError, PenstockError
from actors.functions.context import RunContext
from actors.functions.reach import ScriptDatabase
from actors.functions.runs import log_text
from actors.functions.script_host import ScriptHost
from actors.ports import QueryResult
from tests.actors.functions.world import World


@pytest.fixture
def world() -> World:
    return World()


def context(world: World, app: str = "a") -> RunContext:
    return RunContext(world.reach(), "f", 1, app, app)


async def test_queries_go_to_connections_of_the_app(world: World) -> None:
    """Parameters are bound by name, limits are handed on; another's connection, or one that is down, is told."""
    rows = await context(world).query("db", "SELECT :x", x=1)
    assert rows == [{"id": 1, "id_2": 2}]
    assert world.db.asked[0][:2] == ("SELECT :x", {"x": 1})
    assert world.db.asked[0][2].rows == 10
    with pytest.raises(ConnectorError, match="app b may not use db"):
        await context(world, "b").query("db", "SELECT 1")
    with pytest.raises(ConnectorError, match="connection closed is not open now"):
        await context(world).query("closed", "SELECT 1")


async def test_a_statement_without_rows_tells_how_many_it_changed(world: World) -> None:
    """To a module as `affected`, to a script as the only thing there is to say."""
    world.db.answer = QueryResult((), [], affected=3)
    rows = await context(world).query("db", "UPDATE x")
    assert (rows, rows.affected) == ([], 3)
    host = ScriptHost(context(world))
    assert await host.call("query", {"connection": "db", "sql": "UPDATE x"}) == {"affected": 3}


async def test_records_go_to_topics_of_the_app(world: World) -> None:
    """As JSON, or bytes as they are; of a bounded size; and not to another's topic."""
    published = await context(world).publish("t", {"a": 1}, key="k")
    assert published == ("t", 0, 0)
    await context(world).publish("t", b"raw")
    assert [(topic, record.key, record.value) for topic, record in world.stored] == [
        ("t", b"k", b'{"a":1}'),
        ("t", None, b"raw"),
    ]
    with pytest.raises(PenstockError, match="app b may not publish to t"):
        await context(world, "b").publish("t", 1)
    with pytest.raises(PenstockError, match="has 32 bytes, and at most 20"):
        await context(world).publish("t", "x" * 30)
    with pytest.raises(PenstockError, match="cannot be written as JSON"):
        await context(world).publish("t", object())
    assert len(world.stored) == 2


async def test_other_systems_are_called(world: World) -> None:
    """With a body, or with JSON and what says that it is; never both."""
    answer = await context(world).http("POST", "http://x", json={"b": 2}, headers={"x-c": "d"})
    assert (answer.status, answer.json(), answer.text) == (201, {"a": 1}, '{"a": 1}')
    assert world.requests == [("POST", "http://x", {"Content-Type": "application/json", "x-c": "d"}, b'{"b":2}')]
    with pytest.raises(OutgoingCallError, match="not both"):
        await context(world).http("POST", "http://x", json=1, body="x")


async def test_a_script_asks_by_operation(world: World) -> None:
    """Its values are JSON both ways: times as text, decimals as numbers; places are `?` or names."""
    world.db.answer = QueryResult(
        ("n", "at", "x"), [(Decimal("1.5"), dt.date(2024, 1, 2), float("nan")), (Decimal("NaN"), b"ab", None)]
    )
    host = ScriptHost(context(world))
    rows = await host.call("query", {"connection": "db", "sql": "SELECT ?", "parameters": [7]})
    assert rows == [{"n": 1.5, "at": "2024-01-02", "x": None}, {"n": None, "at": "YWI=", "x": None}]
    assert world.db.asked[-1][:2] == ("SELECT :p0", {"p0": 7})
    await host.call("query", {"connection": "db", "sql": "SELECT :a", "parameters": {"a": 1, "self": 2, "sql": 3}})
    assert world.db.asked[-1][1] == {"a": 1, "self": 2, "sql": 3}
    database = {"type": "mysql", "url": "jdbc:mysql://here/db", "user": "u", "password": "p"}
    assert await host.call("database", database | {"sql": "UPDATE", "parameters": [1, 2]}) == {"affected": 2}
    assert await host.call("publish", {"topic": "t", "data": [1], "key": None}) == {
        "topic": "t",
        "partition": 0,
        "offset": 0,
    }
    answer = await host.call("http", {"method": "GET", "url": "http://x", "headers": {"n": 5, "t": True}, "body": None})
    assert answer == {"status": 201, "headers": {"x-a": "b"}, "body": '{"a": 1}'}
    assert world.requests[-1] == ("GET", "http://x", {"n": "5", "t": "true"}, b"")


@pytest.mark.parametrize(
    ("operation", "arguments", "error"),
    [
        ("query", {"connection": 5, "sql": "x"}, "query: Expected `str`"),
        ("query", {}, "query: Object missing required field"),
        ("publish", {"topic": "t"}, "publish: Object missing required field `data`"),
        ("spawn", {}, "there is no operation spawn"),
    ],
)
async def test_a_script_that_asks_nonsense_is_told(
    world: World, operation: str, arguments: dict[str, Any], error: str
) -> None:
    """Whatever a script sends, it is an error with words, never a crash."""
    with pytest.raises(PenstockError, match=error):
        await ScriptHost(context(world)).call(operation, arguments)


async def test_a_database_that_a_script_names_is_asked_for_in_the_name_of_its_app(world: World) -> None:
    """The setting decides, and its refusal names it."""
    database = ScriptDatabase("mysql", "jdbc:mysql://elsewhere/db", "u", "p")
    with pytest.raises(ConnectorError, match=r"functions\.script_connections"):
        await context(world).query_database(database, "SELECT 1", [])


def test_a_log_line_is_one_line_of_text() -> None:
    """Facts stand after the message; what cannot be shown is named by its type."""
    assert log_text("free", {"lot": 7, "who": "a b", "x": [1, None]}) == "free lot=7 who='a b' x=[1,null]"
    cycle: list[Any] = []
    cycle.append(cycle)
    assert log_text("odd", {"x": cycle}) == "odd x=(list)"
    assert log_text({"a": 1}, {}) == '{"a":1}'


def test_parameters_must_be_there() -> None:
    """`ParameterError` is among the errors that a plugin can name."""
    from plugins import api  # noqa: PLC0415 - what plugins see

    assert api.ParameterError is ParameterError
