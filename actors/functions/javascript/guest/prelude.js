// What every script finds: run once in each isolate, before any script.
//
// It takes away what reaches past a call (WebAssembly, shared memory, finalizers), freezes every intrinsic, and keeps for
// itself the functions it needs. A script is compiled once, as the body of a function; each call runs that body anew, and
// `finish` removes what it left behind. The shell (Python) and this file talk through one piece of shared memory, 16
// int32 of header and then UTF-16 text, and through `notify`, which returns once the shell has seen to what is written
// there. Scripts never get hold of either.
(function (memory, notify, textUnits) {
  'use strict';

  const MORE = 1, ASK_AND_WAIT = 2, ASK = 3, LOG = 4, CHECK = 5, TAKE = 6, REST = 7;
  const WHAT = 0, UNITS = 1, PARTS = 2, NUMBER = 3, DATA_UNITS = 4, DATA_LAST = 5, DATA_MOST = 6, ALARM = 8;
  const FIRST = 1, LAST = 2;

  const MAX_TIMERS = 1000;
  const MAX_DELAY = 60000;
  const MAX_ASKS = 64;
  const MAX_ASK_UNITS = 4 * 1024 * 1024;
  const MAX_LINE_UNITS = 8 * 1024;
  const MAX_LOG_UNITS = 256 * 1024;
  const MAX_LOG_LINES = 1000;
  const MAX_TEXT_UNITS = 2000;
  const MAX_NUMBER = 0x7fffffff;

  const { apply, construct, defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, isExtensible,
    ownKeys } = Reflect;
  const { create, freeze, setPrototypeOf } = Object;
  const { stringify, parse } = JSON;
  const { fromCharCode } = String;
  const { min, max } = Math;
  const { isArray } = Array;
  const { waitAsync, notify: wake } = Atomics;
  const GlobalString = String, GlobalFunction = Function, GlobalPromise = Promise, GlobalError = Error;
  const GlobalTypeError = TypeError, GlobalRangeError = RangeError, GlobalNumber = Number;
  const uncurry = (method) => (self, ...rest) => apply(method, self, rest);
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const slice = uncurry(String.prototype.slice);
  const replace = uncurry(String.prototype.replace);
  const then = uncurry(Promise.prototype.then);
  const exec = uncurry(RegExp.prototype.exec);
  const subarray = uncurry(Object.getPrototypeOf(Int8Array.prototype).subarray);
  const mapGet = uncurry(Map.prototype.get), mapSet = uncurry(Map.prototype.set);
  const mapDelete = uncurry(Map.prototype.delete), mapHas = uncurry(Map.prototype.has);
  const mapClear = uncurry(Map.prototype.clear), mapSize = uncurry(getOwnPropertyDescriptor(Map.prototype, 'size').get);

  const header = new Int32Array(memory, 0, 16);
  const units = new Uint16Array(memory, 64, textUnits);
  const dataUnits = new Uint16Array(memory, 64 + 2 * textUnits, textUnits);

  // --- text through the shared memory ---------------------------------------------------------------------------------

  function send(what, number, text) {
    const length = text.length;
    let start = 0;
    do {
      const count = min(length - start, textUnits);
      for (let i = 0; i < count; i++) units[i] = charCodeAt(text, start + i);
      start += count;
      header[WHAT] = what;
      header[UNITS] = count;
      header[PARTS] = (start === count ? FIRST : 0) | (start === length ? LAST : 0);
      header[NUMBER] = number;
      notify();
    } while (start < length);
  }

  function textOf(from, count) {
    let text = '';
    for (let i = 0; i < count; i += 8192) text += apply(fromCharCode, null, subarray(from, i, min(count, i + 8192)));
    return text;
  }

  // The data of a call has a place of its own: it is written while answers to the last call may still come.
  function receivedData() {
    const text = textOf(dataUnits, header[DATA_UNITS]);
    if (header[DATA_LAST]) return text;
    header[WHAT] = REST;
    notify();
    return text + received();
  }

  function received() {
    let text = '';
    for (;;) {
      text += textOf(units, header[UNITS]);
      if (header[PARTS] & LAST) return text;
      header[WHAT] = MORE;
      notify();
    }
  }

  // --- what a call may ask of its host --------------------------------------------------------------------------------

  // Everything that belongs to the call that runs; `finish` makes it anew.
  let call = null;
  const asks = new Map();
  const timers = new Map();
  let numbers = 0;
  let askUnits = 0;
  let armed = 0;

  const next = () => numbers = numbers === MAX_NUMBER ? 1 : numbers + 1;

  function request(operation, args) {
    let text;
    try {
      text = stringify(args);
    } catch (error) {
      throw new GlobalTypeError('context.' + operation + ': the arguments cannot be written as JSON: ' + shown(error));
    }
    if (text.length > MAX_ASK_UNITS) throw new GlobalRangeError('context.' + operation + ': the arguments are too large');
    return operation + ' ' + text;
  }

  function answered(ok, text) {
    if (!ok) throw new GlobalError(text);
    return text === '' ? undefined : parse(text);
  }

  function askAndWait(operation, args) {
    const text = request(operation, args);
    send(ASK_AND_WAIT, next(), text);
    const ok = header[WHAT] === 1;
    return answered(ok, received());
  }

  function ask(operation, args) {
    return new GlobalPromise((resolve, reject) => {
      // First: writing the arguments runs the script's own code, which may ask for more.
      const text = request(operation, args);
      if (mapSize(asks) >= MAX_ASKS) {
        throw new GlobalRangeError('at most ' + MAX_ASKS + ' requests may be under way at a time: await some of them');
      }
      if (askUnits + text.length > MAX_ASK_UNITS) {
        throw new GlobalRangeError('the requests under way are too large together: await some of them');
      }
      const number = next();
      mapSet(asks, number, { __proto__: null, resolve, reject, units: text.length });
      askUnits += text.length;
      send(ASK, number, text);
    });
  }

  // One answer to an `ask`, which the shell has ready.
  function resume() {
    header[WHAT] = TAKE;
    notify();
    const number = header[NUMBER], ok = header[WHAT] === 1;
    const text = received();
    const waiting = mapGet(asks, number);
    if (waiting === undefined) return;
    mapDelete(asks, number);
    askUnits -= waiting.units;
    try {
      waiting.resolve(answered(ok, text));
    } catch (error) {
      waiting.reject(error);
    }
  }

  const text = (value) => (value === undefined || value === null ? null : GlobalString(value));

  function queryOf(connection, sql, parameters) {
    return { __proto__: null, connection: GlobalString(connection), sql: GlobalString(sql),
      parameters: parameters === undefined || parameters === null ? [] : parameters };
  }

  // http(url), http(url, {method, ...}), http({method, url, headers, body, json}), or http(method, url, {headers, body, json})
  function httpOf(method, url, options) {
    let from = options === undefined || options === null ? create(null) : options;
    if (typeof method === 'object' && method !== null) {
      from = method;
      method = from.method;
      url = from.url;
    } else if (typeof url !== 'string') {
      if (typeof url === 'object' && url !== null) from = url;
      url = method;
      method = from.method;
    }
    const args = { __proto__: null, method: method === undefined ? 'GET' : GlobalString(method), url: GlobalString(url),
      headers: from.headers === undefined ? create(null) : from.headers, body: text(from.body) };
    if (from.json !== undefined) args.json = from.json;
    return args;
  }

  function publishOf(topic, data, options) {
    const key = typeof options === 'object' && options !== null ? options.key : options;
    return { __proto__: null, topic: GlobalString(topic), data: data === undefined ? null : data, key: text(key) };
  }

  function contextOf(perform) {
    return {
      log,
      query: (connection, sql, parameters) => perform('query', queryOf(connection, sql, parameters)),
      http: (method, url, options) => perform('http', httpOf(method, url, options)),
      publish: (topic, data, options) => perform('publish', publishOf(topic, data, options)),
    };
  }

  // --- logging --------------------------------------------------------------------------------------------------------

  function shown(value) {
    try {
      if (typeof value === 'string') return value;
      if (typeof value === 'object' && value !== null) {
        if (GlobalError.prototype.isPrototypeOf(value)) return errorText(value);
        const json = stringify(value);
        if (typeof json === 'string') return json;
      }
      return GlobalString(value);
    } catch {
      return '(a value that cannot be shown)';
    }
  }

  // Asked twice: to show a value runs the script's own code, which may log more.
  function isLogFull() {
    if (call.logLines < MAX_LOG_LINES && call.logUnits < MAX_LOG_UNITS) return false;
    call.logLeftOut++;
    return true;
  }

  function log(...parts) {
    if (call === null || isLogFull()) return;
    let line = '';
    for (let i = 0; i < parts.length && line.length <= MAX_LINE_UNITS; i++) line += (i ? ' ' : '') + shown(parts[i]);
    if (line.length > MAX_LINE_UNITS) line = slice(line, 0, MAX_LINE_UNITS) + '...';
    if (isLogFull()) return;
    call.logLines++;
    call.logUnits += line.length;
    send(LOG, 0, line);
  }

  // --- timers ---------------------------------------------------------------------------------------------------------

  function startTimer(callback, delay, again, args) {
    if (typeof callback !== 'function') throw new GlobalTypeError('a timer needs a function');
    if (mapSize(timers) >= MAX_TIMERS) throw new GlobalRangeError('at most ' + MAX_TIMERS + ' timers may run at a time');
    const number = next();
    mapSet(timers, number, true);
    const wait = min(max(GlobalNumber(delay) || 0, 1), MAX_DELAY);
    const arm = () => {
      armed++;
      then(waitAsync(header, ALARM, 0, wait).value, fire);
    };
    const fire = () => {
      armed--;
      if (!mapHas(timers, number)) return;
      if (!again) mapDelete(timers, number);
      then(new GlobalPromise((resolve) => resolve(apply(callback, undefined, args))), undefined, failed);
      if (again && mapHas(timers, number)) arm();
      header[WHAT] = CHECK;
      notify();
    };
    arm();
    return number;
  }

  const stopTimer = (number) => void mapDelete(timers, number);

  // --- databases as scripts of Java engines open them -----------------------------------------------------------------

  class DataSourceConfig {
    #type = 'mysql'; #url = null; #user = null; #password = null; #connection = null;
    setType(type) { this.#type = text(type); }
    setUrl(url) { this.#url = text(url); }
    setUser(user) { this.#user = text(user); }
    setPassword(password) { this.#password = text(password); }
    // A connection of the app, in place of URL, user and password.
    setConnection(connection) { this.#connection = text(connection); }
    getType() { return this.#type; }
    getUrl() { return this.#url; }
    getUser() { return this.#user; }
    getConnection() { return this.#connection; }
    static request(config, sql, parameters) {
      if (config.#connection !== null) return ['query', queryOf(config.#connection, sql, parameters)];
      if (config.#url === null) throw new GlobalError('the DataSourceConfig has neither a URL nor a connection');
      return ['database', { __proto__: null, type: config.#type, url: config.#url, user: config.#user,
        password: config.#password, sql: GlobalString(sql), parameters }];
    }
  }
  const databaseRequest = DataSourceConfig.request;
  delete DataSourceConfig.request;

  class DataSourceClient {
    #config;
    constructor(config) {
      if (!(config instanceof DataSourceConfig)) throw new GlobalTypeError('new DataSourceClient needs a DataSourceConfig');
      this.#config = config;
    }
    execute(sql, ...parameters) {
      const [operation, args] = databaseRequest(this.#config, sql, parameters);
      return askAndWait(operation, args);
    }
  }

  const classes = {
    __proto__: null,
    'com.roma.apic.livedata.client.v1.DataSourceClient': DataSourceClient,
    'com.roma.apic.livedata.config.v1.DataSourceConfig': DataSourceConfig,
  };

  // `com.roma...`: a path that ends at a class, or nowhere.
  const paths = new WeakMap();
  const pathGet = uncurry(WeakMap.prototype.get), pathSet = uncurry(WeakMap.prototype.set);
  function packageAt(path) {
    const node = freeze(new Proxy(freeze(create(null)), freeze({
      __proto__: null,
      get: (_, name) => {
        if (typeof name !== 'string') return undefined;
        const below = path + '.' + name;
        return classes[below] === undefined ? packageAt(below) : classes[below];
      },
    })));
    pathSet(paths, node, path);
    return node;
  }

  function importClass(...imported) {
    for (let i = 0; i < imported.length; i++) {
      const one = imported[i];
      if (one !== DataSourceClient && one !== DataSourceConfig) {
        const path = typeof one === 'object' && one !== null ? pathGet(paths, one) : undefined;
        throw new GlobalTypeError('importClass: there is no class ' + (path === undefined ? shown(one) : path)
          + '; there are ' + ownKeys(classes).join(', '));
      }
      defineProperty(globalThis, one.name, { __proto__: null, value: one, writable: true, enumerable: false,
        configurable: true });
    }
  }

  // --- errors ---------------------------------------------------------------------------------------------------------

  const place = /, <anonymous>:(\d+):(\d+)\)/;

  // A compiled function's text begins with two lines that are not the script's.
  function where(stack) {
    const found = typeof stack === 'string' ? exec(place, slice(stack, 0, 4 * MAX_TEXT_UNITS)) : null;
    return found === null || found[1] < 3 ? '' : ' (line ' + (found[1] - 2) + ', column ' + found[2] + ')';
  }

  function errorText(error) {
    const name = error.name, message = error.message;
    const told = GlobalString(name) + (message === '' || message === undefined ? '' : ': ' + GlobalString(message));
    return slice(told, 0, MAX_TEXT_UNITS) + where(error.stack);
  }

  function thrownText(thrown) {
    try {
      if (typeof thrown === 'object' && thrown !== null && GlobalError.prototype.isPrototypeOf(thrown)) {
        return errorText(thrown);
      }
      return 'threw ' + slice(shown(thrown), 0, MAX_TEXT_UNITS);
    } catch {
      return 'threw a value that cannot be shown';
    }
  }

  // --- one call -------------------------------------------------------------------------------------------------------

  let program = null;
  let tainted = false;

  // Called with the script waiting in the shared memory: nothing, or why it cannot be compiled.
  function load() {
    try {
      program = new GlobalFunction(received() + '\nreturn typeof execute === "function" ? execute : undefined');
      freeze(program.prototype);
      freeze(program);
      return '';
    } catch (error) {
      return thrownText(error);
    }
  }

  function settle(mine, outcome) {
    if (mine === call && mine.outcome === null) mine.outcome = outcome;
  }

  function succeed(mine, value) {
    let json;
    try {
      json = value === undefined ? 'null' : stringify(value);
    } catch (error) {
      return settle(mine, 'Fthe result cannot be written as JSON: ' + thrownText(error));
    }
    if (typeof json !== 'string') return settle(mine, 'Fthe result is a ' + typeof value + ', which is no JSON');
    settle(mine, json.length > mine.maxResult ? 'G' + json.length : 'R' + json);
  }

  // Throws out of a timer reach it, too.
  const failed = (error) => { if (call !== null) settle(call, 'F' + thrownText(error)); };

  // Called with the data in its place, and how large the result may be.
  function run() {
    const mine = call = { __proto__: null, outcome: null, maxResult: header[DATA_MOST], logLines: 0, logUnits: 0,
      logLeftOut: 0 };
    const data = receivedData();
    try {
      const execute = apply(program, undefined, []);
      if (typeof execute !== 'function') throw new GlobalTypeError('the script has no function execute(data)');
      const value = apply(execute, undefined, [data, context]);
      if (typeof value === 'object' && value !== null && typeof value.then === 'function') {
        const settled = new GlobalPromise((resolve) => resolve(value));
        then(settled, (result) => succeed(mine, result), (error) => settle(mine, 'F' + thrownText(error)));
      } else {
        succeed(mine, value);
      }
    } catch (error) {
      settle(mine, 'F' + thrownText(error));
    }
  }

  // The call has run out of time while it waited.
  function abort() {
    if (call !== null) settle(call, 'X');
  }

  // Called when nothing of the script can run: 'I' no call, 'P' not settled yet, or what became of the call, whose
  // remains it removes. 'T' before it: something remained that cannot be removed.
  function finish() {
    if (call === null) return 'I';
    if (call.outcome === null) {
      if (mapSize(asks) > 0 || mapSize(timers) > 0) return 'P';
      call.outcome = 'Fits promise cannot be settled any more: nothing is under way that it could wait for';
    }
    // Lines have no number; so many were left out.
    if (call.logLeftOut > 0) send(LOG, min(call.logLeftOut, MAX_NUMBER), '');
    const outcome = call.outcome;
    call = null;
    mapClear(asks);
    askUnits = 0;
    mapClear(timers);
    // Those that were stopped wait, too.
    if (armed > 0) wake(header, ALARM);
    exec(nothing, '');
    return clean() ? outcome : 'T' + outcome;
  }

  const nothing = /(?:)/;

  // --- the globals ----------------------------------------------------------------------------------------------------

  for (const name of ['WebAssembly', 'Atomics', 'SharedArrayBuffer', 'FinalizationRegistry', 'WeakRef',
    '__timer_manager', 'setTimeout', 'clearTimeout']) {
    delete globalThis[name];
  }

  function addGlobal(name, value) {
    defineProperty(globalThis, name, { __proto__: null, value, writable: false, enumerable: false, configurable: false });
  }

  const context = contextOf(ask);
  context.sync = contextOf(askAndWait);
  addGlobal('context', context);
  addGlobal('console', { __proto__: Object.prototype, log, info: log, debug: log, warn: log, error: log, trace: log });
  addGlobal('importClass', importClass);
  addGlobal('setTimeout', (callback, delay, ...args) => startTimer(callback, delay, false, args));
  addGlobal('setInterval', (callback, delay, ...args) => startTimer(callback, delay, true, args));
  addGlobal('clearTimeout', (number) => stopTimer(number));
  addGlobal('clearInterval', (number) => stopTimer(number));
  for (const name of ['com', 'java', 'javax', 'Packages']) addGlobal(name, packageAt(name));

  // A frozen property of a prototype cannot be assigned to in what inherits it, which scripts do all the time
  // (`error.name = ...`, `Shape.prototype.toString = ...`): as an accessor it can.
  function overridable(holder, key) {
    const found = getOwnPropertyDescriptor(holder, key);
    if (found === undefined || !('value' in found) || !found.configurable) return;
    const { value, enumerable } = found;
    defineProperty(holder, key, {
      __proto__: null,
      get() { return value; },
      set(assigned) {
        if (this === holder || (typeof this !== 'object' && typeof this !== 'function') || this === null) return;
        defineProperty(this, key, { __proto__: null, value: assigned, writable: true, enumerable: true,
          configurable: true });
      },
      enumerable,
      configurable: false,
    });
  }

  for (const type of [Object, Function, Error, AggregateError, EvalError, RangeError, ReferenceError, SyntaxError,
    TypeError, URIError, SuppressedError]) {
    for (const key of ownKeys(type.prototype)) overridable(type.prototype, key);
  }
  for (const type of [Array, Promise, Map, Set, Date, RegExp]) {
    for (const key of ['constructor', 'toString', 'concat', 'push', 'then', 'join']) overridable(type.prototype, key);
  }

  // Everything that can be reached is frozen, the intrinsics without a name among it.
  const seen = new Set();
  const seenHas = uncurry(Set.prototype.has), seenAdd = uncurry(Set.prototype.add);
  function harden(value) {
    const pending = [value];
    while (pending.length > 0) {
      const one = pending.pop();
      if ((typeof one !== 'object' && typeof one !== 'function') || one === null || one === globalThis) continue;
      if (seenHas(seen, one)) continue;
      seenAdd(seen, one);
      freeze(one);
      pending.push(getPrototypeOf(one));
      for (const key of ownKeys(one)) {
        const { value: held, get, set } = getOwnPropertyDescriptor(one, key);
        pending.push(held, get, set);
      }
    }
  }

  const segments = new Intl.Segmenter().segment('');
  const unnamed = [
    function* () {}, async function () {}, async function* () {}, async () => {}, (function* () {})(),
    (async function* () {})(), [][Symbol.iterator](), ''[Symbol.iterator](), new Map()[Symbol.iterator](),
    new Set()[Symbol.iterator](), ''.matchAll(/./g), Iterator.from({ next() {} }), [].values().map((x) => x),
    segments, segments[Symbol.iterator](), DataSourceConfig, DataSourceClient,
  ];
  for (const one of unnamed) harden(one);
  for (const key of ownKeys(globalThis)) {
    const found = getOwnPropertyDescriptor(globalThis, key);
    harden(found.value);
    harden(found.get);
    if (found.configurable) {
      defineProperty(globalThis, key, { __proto__: null, configurable: false });
      if ('value' in found) defineProperty(globalThis, key, { __proto__: null, writable: false });
    }
  }
  harden(getPrototypeOf(globalThis));

  const globals = create(null);
  for (const key of ownKeys(globalThis)) globals[key] = true;
  const globalCount = ownKeys(globalThis).length;
  const globalPrototype = getPrototypeOf(globalThis);

  // Removes what a call has added to the global object; false where that cannot be done.
  function clean() {
    if (tainted) return false;
    const keys = ownKeys(globalThis);
    if (keys.length !== globalCount) {
      for (let i = 0; i < keys.length; i++) {
        if (globals[keys[i]] !== true && !deleteProperty(globalThis, keys[i])) tainted = true;
      }
    }
    if (!isExtensible(globalThis) || getPrototypeOf(globalThis) !== globalPrototype) tainted = true;
    return !tainted;
  }

  return [load, run, resume, abort, finish];
})
//# sourceURL=penstock:prelude
