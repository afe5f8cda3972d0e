"""Scripts that reach for what is not theirs: the machine, the daemon, other calls."""

from __future__ import annotations

import pytest

from actors.errors import FunctionFailedError
from tests.actors.functions.javascript.running import RecordingHost, Scripts


def test_constructor_constructor_finds_nothing(scripts: Scripts) -> None:
    """`constructor.constructor('return process')()` is a name that is not defined; the global object has no more."""
    with pytest.raises(FunctionFailedError, match="process is not defined"):
        scripts.run("function execute() { return constructor.constructor('return process')() }")
    names = "process require module exports global Deno Bun fetch XMLHttpRequest Worker importScripts os load read d8"
    everything = "this.constructor.constructor('return this')()"
    source = f"function execute() {{ return '{names}'.split(' ').filter(n => n in {everything}) }}"
    assert scripts.run(source) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import fs from 'fs'; function execute() {}", "import statement outside a module"),
        ("async function execute() { return await import('fs') }", "(?i)import|not supported|module"),
        ("function execute() { return require('fs') }", "require is not defined"),
        ("function execute() { return import.meta }", "import.meta"),
    ],
)
def test_import_and_require(scripts: Scripts, source: str, told: str) -> None:
    """There is nothing to import, in whatever way."""
    with pytest.raises(FunctionFailedError, match=told):
        scripts.run(source)


def test_shared_memory_is_gone(scripts: Scripts) -> None:
    """Neither SharedArrayBuffer nor Atomics, weak references or finalizers, by name or by what inherits them."""
    names = ["SharedArrayBuffer", "Atomics", "WebAssembly", "WeakRef", "FinalizationRegistry"]
    assert scripts.run(f"function execute() {{ return {names}.filter(n => n in globalThis) }}") == []
    source = (
        "function execute() { return new Int32Array(new ArrayBuffer(8, {maxByteLength: 16})).buffer.constructor.name }"
    )
    assert scripts.run(source) == "ArrayBuffer"


POLLUTIONS = [
    "Object.prototype.polluted = 1",
    "Object.prototype.__proto__ = { polluted: 1 }",
    "Object.setPrototypeOf(Object.prototype, { polluted: 1 })",
    "Array.prototype.push = Array.prototype.map = function () { return 'polluted' }",
    "Array.prototype[Symbol.iterator] = function* () { yield 'polluted' }",
    "JSON.parse = JSON.stringify = () => 'polluted'",
    "Promise.prototype.then = function () { return 'polluted' }",
    "Function.prototype.call = Function.prototype.apply = () => 'polluted'",
    "RegExp.prototype.exec = () => 'polluted'",
    "String.prototype.split = () => 'polluted'",
    "(function* () {}).__proto__.__proto__.polluted = 1",
    "(async () => {}).constructor.prototype.polluted = 1",
    "[][Symbol.iterator]().__proto__.next = () => ({ done: true })",
    "new Map()[Symbol.iterator]().__proto__.next = () => ({ done: true })",
    "''.matchAll(/x/g).__proto__.next = () => ({ done: true })",
    "Object.getPrototypeOf(Int8Array).prototype.polluted = 1",
    "Object.getPrototypeOf(Int8Array).from = () => 'polluted'",
    "Error.prepareStackTrace = () => 'polluted'; Error.stackTraceLimit = 0",
    "Math.max = () => 'polluted'; Intl.DateTimeFormat.prototype.format = 1; Date.now = () => 0",
    "Object.defineProperty(Object.prototype, 'polluted', { value: 1 })",
    "Reflect.ownKeys = () => []; Object.freeze = x => x; Reflect.deleteProperty = () => true",
    "polluted = 1; this.polluted2 = 2; globalThis.polluted3 = 3; (0, eval)('var polluted4 = 4')",
    "Object.defineProperty(globalThis, 'polluted', { value: 1, configurable: false })",
    "Object.setPrototypeOf(globalThis, { polluted: 1 })",
    "Object.preventExtensions(globalThis); Object.freeze(globalThis)",
    "globalThis.context = globalThis.JSON = globalThis.console = { polluted: 1 }",
    "context.query = context.sync.query = console.log = () => 'polluted'",
    "DataSourceConfig = 1; com.roma = 1; importClass = () => 'polluted'",
    "arguments.callee.polluted = 1; arguments.callee.prototype.polluted = 1",
    "globalThis[Symbol.for('polluted')] = 1; Object.prototype[Symbol.toPrimitive] = () => 'polluted'",
    "class A extends Array {}; A.prototype.__proto__.polluted = 1; Symbol.prototype.polluted = 1",
    "new Intl.Segmenter().segment('').__proto__.polluted = 1; Iterator.prototype.map = () => 'polluted'",
]

WITNESS = """
function execute() {
  var seen = []
  for (var key in {}) seen.push(key)
  for (var thing of [{}, [], function () {}, async function () {}, (function* () {}).prototype, new Int8Array(1),
      globalThis, arguments.callee, Symbol(), new Intl.Segmenter().segment('')])
    for (var name of ['polluted', 'polluted2', 'polluted3', 'polluted4', Symbol.for('polluted')])
      if (thing[name] !== undefined) seen.push(name)
  if (typeof polluted != 'undefined') seen.push('global')
  if (JSON.stringify(JSON.parse('{"a":[1]}')) != '{"a":[1]}') seen.push('JSON')
  if ([1, 2].map(x => x + 1).join() != '2,3' || [...[1], ...new Map([[1, 2]])].length != 2) seen.push('arrays')
  if ('a,b'.split(',').length != 2 || [...'aa'.matchAll(/a/g)].length != 2) seen.push('text')
  if (Math.max(1, 2) != 2 || Date.now() < 1e12 || new Error('x').stack == 'polluted') seen.push('others')
  if (Int8Array.from([1]).length != 1 || (function (a) { return a }).call(null, 3) != 3) seen.push('functions')
  if (context.polluted || console.polluted || context.log == 1 || String({}) != '[object Object]') seen.push('context')
  leftAlone = 1
  if (leftAlone != 1) seen.push('undeclared names')
  importClass(com.roma.apic.livedata.config.v1.DataSourceConfig)
  if (new DataSourceConfig().getType() != 'mysql') seen.push('classes')
  return Promise.resolve(seen)
}
"""


@pytest.mark.parametrize("pollution", POLLUTIONS)
def test_prototype_pollution(scripts: Scripts, pollution: str) -> None:
    """What a call does to prototypes, intrinsics and globals, the next call of the same script does not see."""
    source = f"var pollute; {WITNESS.replace('function execute', 'function witness')}"
    source += f"function did() {{ try {{ {pollution} }} catch (e) {{}} return 'did' }}"
    source += "function execute(d) { return d == '1' ? did() : witness() }"
    version = scripts.version(source)
    assert scripts.run(version, 0) == []
    assert scripts.run(version, 1) == "did"
    assert scripts.run(version, 0) == []
    assert scripts.batch(version, [1, 0]) == ["did", []]


def test_pollution_while_loading(scripts: Scripts) -> None:
    """Nor what the script does outside of execute, where it is the compiled script itself that it can reach."""
    source = (
        "var f = arguments.callee; var before = f.count; f.count = 1; f.prototype.count = 1;"
        "function execute() { return [before, f.prototype.count] }"
    )
    version = scripts.version(source)
    assert [scripts.run(version) for _ in range(2)] == [[None, None], [None, None]]


def test_timers_left_behind(scripts: Scripts) -> None:
    """A timer of a call that has ended never fires, in the next one neither."""
    version = scripts.version(
        "function execute(d) { if (d == '1') { setInterval(() => context.log('left behind'), 1); return 1 }"
        " return new Promise(r => setTimeout(r, 50)) }"
    )
    host = RecordingHost()
    assert scripts.run(version, 1, host=host) == 1
    assert scripts.run(version, 0, host=host) is None
    assert host.lines == []


def test_requests_left_behind(scripts: Scripts) -> None:
    """What waits for an answer that comes after the call does not go on in the next one."""
    version = scripts.version(
        "function execute(d) { if (d == '1') { context.query('c', 's').then(() => context.log('late')); return 1 }"
        " return new Promise(r => setTimeout(r, 30)) }"
    )
    host = RecordingHost({"query": []})
    assert scripts.run(version, 1, host=host) == 1
    assert scripts.run(version, 0, host=host) is None
    assert host.lines == []


def test_the_last_match_is_forgotten(scripts: Scripts) -> None:
    """RegExp.$1 and its like do not tell what another caller's data was."""
    version = scripts.version(
        "function execute(d) { var before = RegExp.$1 + RegExp.input + RegExp.lastMatch;"
        " /(.+)/.exec(d); RegExp.input = d; return before }"
    )
    assert [scripts.run(version, "secret") for _ in range(3)] == ["", "", ""]


def test_nobody_gets_hold_of_the_prelude(scripts: Scripts) -> None:
    """Neither by `caller`, nor by the errors of functions of the prelude."""
    source = """
    function execute() {
      var found = []
      try { found.push(execute.caller) } catch (e) { found.push(null) }
      try { found.push(arguments.callee.caller) } catch (e) { found.push(null) }
      var name = { toString() { throw { hold: arguments.callee.caller } } }
      try { context.sync.query(name) } catch (e) { found.push(e.hold) }
      return found
    }"""
    assert scripts.run(source) == [None, None, None]


def test_apps_do_not_share_a_process(scripts: Scripts) -> None:
    """A process has one app, from its first call on."""
    for app in ("red", "green", "blue"):
        scripts.run(scripts.version("function execute() { return 1 }", app=app))
    apps = [child.app for child in scripts.runtime._pool.children]
    assert {"red", "green", "blue"} <= set(apps)
