"""What scripts may rely on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from actors.errors import FunctionFailedError, FunctionResultTooLargeError
from actors.functions.batches import call_each
from actors.functions.javascript.messages import FunctionVersion, Limits
from actors.functions.messages import FunctionFailure
from tests.actors.functions.javascript.running import RecordingHost, Scripts, refusal
from tests.fakes.platform_scripts import AUTHORIZERS, DATABASES


@pytest.mark.parametrize("source", AUTHORIZERS)
def test_a_front_authorizer_of_another_platform_runs_unchanged(scripts: Scripts, source: str) -> None:
    """A script that assigns names that it never declared decides as it was written to."""
    version = scripts.version(source)
    allowed = scripts.run(version, {"body": {"headers": {"x-auth": "user1:xxxx"}}})
    denied = scripts.run(version, {"body": {"headers": {}}})
    assert allowed == {"status": "allow", "context": {"user_name": "user1"}}
    assert denied["status"] == "deny"
    assert denied["context"]["error_code"] == "1001"


@pytest.mark.parametrize("source", DATABASES)
def test_a_script_that_opens_a_database_of_its_own_runs_unchanged(scripts: Scripts, source: str) -> None:
    """DataSourceConfig and DataSourceClient.execute hand URL, user, password, SQL and values to the host, and wait."""
    host = RecordingHost({"database": [{"name": "Tom", "age": 20}]})
    rows = scripts.run(source, host=host)
    assert rows == [{"name": "Tom", "age": 20}]
    ((operation, asked),) = host.asked
    assert operation == "database"
    assert asked["url"] == "jdbc:mysql://127.0.0.1:3306/db?allowPublicKeyRetrieval=true"
    assert (asked["type"], asked["user"]) == ("mysql", "xxxx")
    assert (asked["sql"], asked["parameters"]) == ("SELECT * FROM person where name = ? and age = ?", ["Tom", 20])


def test_a_data_source_may_name_a_connection(scripts: Scripts) -> None:
    """`setConnection` makes of the same client a query of the app's own connection."""
    host = RecordingHost({"query": []})
    source = """
    importClass(com.roma.apic.livedata.client.v1.DataSourceClient, com.roma.apic.livedata.config.v1.DataSourceConfig)
    function execute() {
      var config = new DataSourceConfig(); config.setConnection("warehouse")
      return new DataSourceClient(config).execute("select ?", 1)
    }"""
    assert scripts.run(source, host=host) == []
    assert host.asked == [("query", {"connection": "warehouse", "sql": "select ?", "parameters": [1]})]


def test_an_unknown_class_is_told(scripts: Scripts) -> None:
    """An importClass of what there is not names it, and what there is."""
    with pytest.raises(FunctionFailedError, match=r"no class com\.roma\.Other; there are .*DataSourceClient"):
        scripts.run("importClass(com.roma.Other); function execute() {}")


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("function execute(d) { return JSON.parse(d).a }", 1),
        ("async function execute(d) { return JSON.parse(d) }", {"a": 1}),
        ("const execute = (d) => new Promise(r => setTimeout(() => r('late'), 5))", "late"),
        ("function execute() { return { then(r) { r(7) } } }", 7),
        ("function execute() { var n = 0; return new Promise(r => setInterval(() => ++n == 3 && r(n), 1)) }", 3),
        ("function execute() {}", None),
        ("execute = function (d, c) { return c === context }", True),
        ("'use strict'; function execute() { return this === undefined }", True),
        ("function execute() { return '\\ud83d\\ude00 \\u00e9\\0' }", "\U0001f600 \u00e9\0"),
        ("function execute() { return 'x'.repeat(300000).length }", 300000),
        ("function execute(d) { return d }  // the end", '{"a": 1}'),
    ],
)
def test_what_a_script_returns_is_its_result(scripts: Scripts, source: str, result: object) -> None:
    """A value, a promise, a thenable or text, at once or later, from any kind of function."""
    assert scripts.run(source, {"a": 1}) == result


def test_large_data_goes_both_ways(scripts: Scripts) -> None:
    """Data and results of megabytes are whole, whatever characters they have."""
    data = {"text": "\u20ac\U0001f600x" * 300_000}
    assert (
        scripts.run("function execute(d) { return JSON.parse(d) }", data, limits=Limits(20, 1 << 28, 1 << 24)) == data
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("function execute() {\n\n  throw new TypeError('no lot')\n}", r"TypeError: no lot \(line 3, column 9\)"),
        ("function execute(d) {\n  return d +;\n}", r"SyntaxError: Unexpected token ';' \(line 2\)"),
        ("function execute(d) {\n  return 1\n", r"SyntaxError: Unexpected end of input \(line 2\)"),
        ("function execute(d) { return 1", r"SyntaxError: Unexpected end of input \(line 1\)"),
        ("var x = 1", r"no function execute\(data\)"),
        ("return 1", r"no function execute\(data\)"),
        ("function execute() { return missing }", "missing is not defined"),
        ("function execute() { return () => 1 }", "a function, which is no JSON"),
        ("function execute() { return 1n }", "BigInt"),
        ("function execute() { var a = {}; a.a = a; return a }", "circular structure"),
        ("async function execute() { throw new Error('later') }", "Error: later"),
        ("function execute() { return new Promise(r => setTimeout(() => { throw Error('in time') }, 1)) }", "in time"),
        ("}); (function () {", "SyntaxError"),
    ],
)
def test_what_goes_wrong_in_a_script_is_told(scripts: Scripts, source: str, told: str) -> None:
    """The error names the function, its version, what, and where in the script."""
    with pytest.raises(FunctionFailedError, match=r"function f\d+ version 1: ") as caught:
        scripts.run(source)
    assert re.search(told, str(caught.value))


def test_a_result_may_be_as_large_as_its_function_says(scripts: Scripts) -> None:
    """At the limit it comes, one byte above it is told with both sizes."""
    limits = Limits(20.0, 64 << 20, 1000)
    assert scripts.run("function execute() { return 'x'.repeat(998) }", limits=limits) == "x" * 998
    with pytest.raises(FunctionResultTooLargeError, match="1001 bytes, and may have 1000"):
        scripts.run("function execute() { return 'x'.repeat(999) }", limits=limits)
    with pytest.raises(FunctionResultTooLargeError, match="bytes, and may have 1000"):
        scripts.run("function execute() { return '\\u20ac'.repeat(900) }", limits=limits)


def test_the_context_may_be_awaited(scripts: Scripts) -> None:
    """query, http and publish are promises, several at a time; errors of the host are thrown where they are awaited."""
    host = RecordingHost({"query": [{"n": 1}], "http": {"status": 200}, "publish": refusal("topic t is not yours")})
    source = """
    async function execute() {
      var [rows, answer] = await Promise.all([
        context.query("c", "select :n", {n: 1}), context.http("http://x/", {headers: {a: "b"}})])
      try { await context.publish("t", {a: 1}, {key: "k"}) } catch (error) { return [rows, answer, error.message] }
    }"""
    assert scripts.run(source, host=host) == [[{"n": 1}], {"status": 200}, "topic t is not yours"]
    assert sorted(host.asked, key=lambda asked: asked[0]) == [
        ("http", {"method": "GET", "url": "http://x/", "headers": {"a": "b"}, "body": None}),
        ("publish", {"topic": "t", "data": {"a": 1}, "key": "k"}),
        ("query", {"connection": "c", "sql": "select :n", "parameters": {"n": 1}}),
    ]


def test_the_context_may_be_waited_for(scripts: Scripts) -> None:
    """`context.sync` blocks, and throws what the host raises."""
    host = RecordingHost({"query": [{"n": 1}], "http": refusal("not to be called")})
    source = """
    function execute() {
      try { context.sync.http("POST", "http://x/", {json: {a: 1}}) } catch (error) { var told = error.message }
      return [context.sync.query("c", "select 1"), told, context.sync.publish("t", 1)]
    }"""
    assert scripts.run(source, host=host) == [[{"n": 1}], "not to be called", None]


def test_what_a_call_began_is_seen_through(scripts: Scripts) -> None:
    """A publish that was not awaited is done before the result comes."""
    host = RecordingHost()
    assert scripts.run("function execute() { context.publish('t', 1); return 'done' }", host=host) == "done"
    assert [operation for operation, _ in host.asked] == ["publish"]


def test_log_lines_reach_the_host(scripts: Scripts) -> None:
    """context.log and console write lines, objects as JSON, errors with their message."""
    host = RecordingHost()
    scripts.run("function execute() { context.log('lot', {a: 1}, 2); console.error(new Error('x')) }", host=host)
    assert host.lines[0] == 'lot {"a":1} 2'
    assert host.lines[1].startswith("Error: x")


def test_inherited_properties_may_be_assigned(scripts: Scripts) -> None:
    """Frozen prototypes do not keep a script from giving its own objects properties of the same names."""
    source = """
    function execute() {
      function Lot() {}
      Lot.prototype.toString = function () { return "lot" }
      var error = new Error("full"); error.name = "LotError"; error.message = "very full"
      class Full extends Error { constructor() { super("a"); this.name = "Full" } }
      var o = {}; o.constructor = 1; o.hasOwnProperty = 2
      return [String(new Lot()), String(error), String(new Full()), Object.keys(o), error.hasOwnProperty("name")]
    }"""
    assert scripts.run(source) == ["lot", "LotError: very full", "Full: a", ["constructor", "hasOwnProperty"], True]


def test_a_batch_has_a_result_for_each_item(scripts: Scripts) -> None:
    """Results come in order; what fails for one item is that item's, and items do not see one another's globals."""
    version = scripts.version(
        "function execute(d) { var before = typeof seen; seen = 1; d = JSON.parse(d); if (d == 2) throw Error('two');"
        " return d == 3 ? Promise.resolve([d, before]) : [d, before] }"
    )
    first, second, third = scripts.batch(version, [1, 2, 3])
    assert first == [1, "undefined"]
    assert "Error: two" in str(second.error)
    assert third == [3, "undefined"]
    assert scripts.batch(version, []) == []


def test_items_that_had_no_time_are_told_from_those_that_took_it(scripts: Scripts) -> None:
    """The one that alone took all the time failed by itself; those behind it might not have."""
    source = "function execute(d) { const until = Date.now() + +d; while (Date.now() < until); return +d }"
    version = scripts.version(source, limits=Limits(seconds=0.4))
    one, two, three = scripts.batch(version, [250, 250, 1])
    assert one == 250
    assert [two.for_want_of_room, three.for_want_of_room] == [True, True]
    one, two = scripts.batch(version, [10_000, 1])
    assert [one.for_want_of_room, two.for_want_of_room] == [False, True]
    results = scripts.all(call_each, _Batches(scripts, version), "f", [250, 250, 1, 10_000, 2], "parking")
    assert [one for one in results if not isinstance(one, FunctionFailure)] == [250, 250, 1, 2]


def test_results_that_are_too_large_only_together(scripts: Scripts) -> None:
    """Each is to be had in a batch of fewer."""
    source = "const text = 'x'.repeat(12 << 20); function execute(d) { return text }"
    version = scripts.version(source, limits=Limits(seconds=20.0, memory=256 << 20, result=60 << 20))
    results = scripts.all(call_each, _Batches(scripts, version), "f", [1] * 7, "parking")
    assert [len(one) for one in results] == [12 << 20] * 7


def test_items_may_leave_requests_behind(scripts: Scripts) -> None:
    """However many, and however slow their host is: all of them are seen through."""

    class Slow(RecordingHost):
        async def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
            await trio.sleep(0.01)
            return await super().call(operation, arguments)

    host = Slow()
    version = scripts.version("function execute(d) { context.publish('t', +d); context.publish('u', +d); return +d }")
    assert scripts.batch(version, list(range(400)), host) == list(range(400))
    assert sorted(arguments["data"] for _, arguments in host.asked) == sorted([*range(400)] * 2)


def test_answers_reach_the_item_that_asked(scripts: Scripts) -> None:
    """Also where an item before left its own behind and took the isolate with it."""

    class Slow(RecordingHost):
        async def call(self, operation: str, *_: Any) -> Any:
            await trio.sleep(0.1 if operation == "publish" else 0.3)
            return operation

    source = """
    async function execute(d) {
      if (d === '1') { context.publish('t', d); Object.preventExtensions(globalThis); return 'left' }
      return await context.query('c', 's')
    }"""
    assert scripts.batch(scripts.version(source), [1, 2, 3], Slow()) == ["left", "query", "query"]


class _Batches:
    """A library of one function."""

    def __init__(self, scripts: Scripts, version: FunctionVersion) -> None:
        self._scripts = scripts
        self._version = version

    async def call_batch(self, *call: Any) -> list[Any]:
        _, items, *_ = call
        data = [json.dumps(item).encode() for item in items]
        results = await self._scripts.runtime.call_batch(self._version, data, RecordingHost())
        return [one if isinstance(one, FunctionFailure) else json.loads(one) for one in results]
