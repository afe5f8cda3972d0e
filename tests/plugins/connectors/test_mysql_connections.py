"""Connector mysql against a real MariaDB: ways in, rights, and TLS."""

import random
from contextlib import suppress

import msgspec
import pytest
import trio

from daemon.island import Island
from plugins.api import Connector, ConnectorError, NothingDoneError, StatementError
from plugins.connectors.mysql import CONNECTOR
from plugins.sql.mysql import Mysql
from plugins.sql.mysql_settings import MysqlSettings
from tests.fakes.mariadb import PASSWORD, MariadbDatabase
from tests.plugins.connectors.contract import LIMITS, PARKING, SOURCE, ask, batch, claimed, wait_until
from tests.plugins.connectors.servers import build


async def test_missing_rights_are_found_by_trying(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """A user who may only read is told so; with the rights on the tables alone, tasks can be written."""
    name = mariadb_database.name
    reader = f"{name}_reader"
    mariadb_database.execute(f"CREATE USER {reader} IDENTIFIED BY 'x'; GRANT SELECT ON {name}.* TO {reader};")
    connector = build(CONNECTOR, {**mariadb_database.settings, "user": reader, "password": "x"}, island)
    for _ in range(2):
        report = await connector.test()
        assert (report.connected, report.may_read, report.may_write) == (True, True, False)
        assert "GRANT" in report.problem
        await claimed(mysql)
    with pytest.raises(ConnectorError, match="GRANT"):
        await connector.query("DELETE FROM ParkingData", {}, LIMITS)
    mariadb_database.execute(f"GRANT INSERT, UPDATE ON {name}.* TO {reader};")
    await connector.close()
    connector = build(CONNECTOR, {**mariadb_database.settings, "user": reader, "password": "x"}, island)
    assert (await connector.test()).may_write
    await connector.create_table(PARKING)
    assert (await connector.claim("to-table", SOURCE)).epoch == 3
    await connector.write(batch([("a", "0")], epoch=3, expected=None))
    await connector.close()
    mariadb_database.execute(f"DROP USER {reader}")


async def test_a_wrong_password_is_told_without_it(mariadb_database: MariadbDatabase, island: Island) -> None:
    """What failed, where, why and what to do; the password is nowhere in it."""
    wrong = build(CONNECTOR, {**mariadb_database.settings, "password": "wrong-password"}, island)
    report = await wrong.test()
    assert not report.connected
    assert "password is wrong" in report.problem
    assert mariadb_database.name in report.problem
    assert "wrong-password" not in report.problem
    assert PASSWORD not in report.problem


async def test_a_unix_socket_is_a_way_in(mariadb_database: MariadbDatabase, island: Island) -> None:
    """A host that is a path is a socket, where TLS makes no sense."""
    settings = {**mariadb_database.settings, "host": mariadb_database.server.socket, "ssl": "require"}
    connector = build(CONNECTOR, settings, island)
    assert await ask(connector, "SELECT CURRENT_USER()") == [(f"{mariadb_database.name}@%",)]
    await connector.close()


@pytest.mark.parametrize(
    ("mode", "encrypted"), [("disable", False), ("prefer", True), ("require", True), ("verify-full", True)]
)
async def test_tls_is_spoken_as_the_settings_say(
    mariadb_database: MariadbDatabase, island: Island, mode: str, *, encrypted: bool
) -> None:
    """The server itself tells whether the connection is encrypted."""
    settings = {**mariadb_database.settings, "ssl": mode}
    if mode == "verify-full":
        settings["ssl_ca"] = mariadb_database.server.ca
    connector = build(CONNECTOR, settings, island)
    ((_, cipher),) = await ask(connector, "SHOW STATUS LIKE 'Ssl_cipher'")
    assert bool(cipher) is encrypted
    await connector.close()


async def test_a_server_that_is_not_believed_is_not_talked_to(
    mariadb_database: MariadbDatabase, island: Island
) -> None:
    """Of an authority that is not known, or of another name, or files that are not there: each is told."""
    settings = {**mariadb_database.settings, "ssl": "verify-ca"}
    assert "check ssl_ca" in (await build(CONNECTOR, settings, island).test()).problem
    settings["ssl_ca"] = mariadb_database.server.ca
    by_name = build(CONNECTOR, {**settings, "host": "localhost"}, island)
    assert (await by_name.test()).connected
    await by_name.close()
    strict = {**settings, "host": "localhost", "ssl": "verify-full"}
    assert "the host's name" in (await build(CONNECTOR, strict, island).test()).problem
    missing = {**settings, "ssl_ca": "/nowhere/ca.pem"}
    assert "ssl_ca, ssl_cert or ssl_key cannot be used" in (await build(CONNECTOR, missing, island).test()).problem


# A greeting (protocol 10) of a server without TLS, and its wish to be told the password as it is.
GREETING = (
    b"\x0a5.7.0-fake\0\x01\0\0\0abcdefgh\0" + b"\x00\xa2" + b"\x2d\x02\0" + b"\x08\0" + b"\x15" + b"\0" * 10
) + b"ijklmnopqrst\0mysql_native_password\0"
CLEARTEXT = b"\xfemysql_clear_password\0"


@pytest.mark.parametrize(("mode", "told"), [("prefer", "clear text"), ("require", "speaks no TLS")])
async def test_a_password_is_not_told_to_whoever_asks(island: Island, mode: str, told: str) -> None:
    """A server that speaks no TLS gets no password as it is, and where TLS is required nothing at all."""
    heard = bytearray()

    async def pretend(stream: trio.SocketStream) -> None:
        await stream.send_all(len(GREETING).to_bytes(3, "little") + b"\0" + GREETING)
        heard.extend(await stream.receive_some())
        with suppress(trio.BrokenResourceError):
            await stream.send_all(len(CLEARTEXT).to_bytes(3, "little") + b"\2" + CLEARTEXT)
            async for data in stream:
                heard.extend(data)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, pretend, 0)
        port = listeners[0].socket.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "database": "x", "user": "me", "password": "s3cret"}
        problem = (await build(CONNECTOR, {**settings, "ssl": mode}, island).test()).problem
        nursery.cancel_scope.cancel()
    assert told in problem
    assert b"s3cret" not in heard
    assert (b"me" in heard) == (mode == "prefer")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"database": "x"},
        {"database": "", "user": "x"},
        {"database": "x", "user": "x", "pool_size": 0},
        {"database": "x", "user": "x", "ssl": "perhaps"},
        {"database": "x", "user": "x", "ssl": "disable", "ssl_ca": "ca.pem"},
        {"database": "x", "user": "x", "ssl_key": "key.pem"},
        {"database": "x", "user": "x", "time_zone": "Nowhere/Atall"},
        {"database": "x", "user": "x", "time_zone": "+00:00'"},
        {"database": "x", "user": "x", "time_zone": "../../etc/passwd"},
        {"database": "x", "user": "x", "charset": "gbk"},
    ],
)
def test_settings_name_one_database(settings: dict) -> None:
    """Who and where are needed, each within its bounds; the charset is nobody's to choose."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, MysqlSettings)


class Network:
    """A way to a server, on which connections can be made to carry nothing any more, while new ones do."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cut = trio.Event()
        self.made = 0

    def cut(self) -> None:
        """From now on nothing arrives at either end of what is connected, and neither is told so."""
        self._cut.set()
        self._cut = trio.Event()

    async def carry(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        self.made += 1
        cut = self._cut
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, stream, server, cut)
            nursery.start_soon(self._pass_on, server, stream, cut)

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream, cut: trio.Event) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if not cut.is_set():
                    await sink.send_all(data)
        if not cut.is_set():
            await sink.aclose()


async def test_a_connection_that_was_cut_off_without_a_word_holds_nobody_up(
    mariadb_database: MariadbDatabase, island: Island
) -> None:
    """A firewall forgets what rests: whoever comes next is answered by a new connection, and soon."""
    network = Network(mariadb_database.server.port)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, network.carry, 0)
        settings = {**mariadb_database.settings, "port": listeners[0].socket.getsockname()[1]}
        connector = build(CONNECTOR, settings, island)
        async with trio.open_nursery() as callers:
            for number in range(4):
                callers.start_soon(ask, connector, f"SELECT SLEEP(0.2), {number}")
        made = network.made
        network.cut()
        await trio.sleep(1.2)
        with trio.fail_after(4):
            assert await ask(connector, "SELECT 1") == [(1,)]
        with trio.fail_after(1):
            assert await ask(connector, "SELECT 2") == [(2,)]
        assert network.made == made + 1
        await connector.close()
        nursery.cancel_scope.cancel()


async def test_a_server_that_gave_up_a_resting_connection_is_asked_by_another(
    mariadb_database: MariadbDatabase, island: Island
) -> None:
    """wait_timeout of the server is no error of the next query's."""
    mariadb_database.server.execute("SET GLOBAL wait_timeout = 1")
    try:
        connector = build(CONNECTOR, mariadb_database.settings, island)
        assert await ask(connector, "SELECT 1") == [(1,)]
        await trio.sleep(1.5)
        assert await ask(connector, "SELECT 2") == [(2,)]
        await connector.close()
    finally:
        mariadb_database.server.execute("SET GLOBAL wait_timeout = DEFAULT")


async def test_a_user_without_connections_left_is_told_what_to_do(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """Nothing was asked of the server, and what to raise or lower is named; with room the query goes through."""
    mariadb_database.execute(f"ALTER USER {mariadb_database.name}@'%' WITH MAX_USER_CONNECTIONS 1")
    other = build(CONNECTOR, mariadb_database.settings, island)
    await ask(other, "SELECT 1")
    with pytest.raises(NothingDoneError, match="raise max_user_connections there, or lower pool_size here"):
        await ask(mysql, "SELECT 1")
    await other.close()
    await wait_until(lambda: mariadb_database.running("") == 0)
    assert await ask(mysql, "SELECT 1") == [(1,)]


async def test_a_server_without_connections_left_says_what_to_do(
    mysql: Mysql, mariadb_database: MariadbDatabase, island: Island
) -> None:
    """Likewise; and callers who leave are not held up, although nobody can be sent to end their statements."""
    mariadb_database.server.execute("SET GLOBAL max_connections = 10")
    crowd = build(CONNECTOR, {**mariadb_database.settings, "pool_size": 20}, island)
    try:
        with trio.CancelScope() as leaving:
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(ask_until_there_is_room, crowd, f"SELECT SLEEP(60), {number}")
                await wait_until(lambda: mariadb_database.running("SLEEP(60)") == 10)
                with pytest.raises(NothingDoneError, match="raise max_connections there, or lower pool_size here"):
                    await ask(mysql, "SELECT 1")
                left = trio.current_time()
                leaving.cancel()
        assert trio.current_time() - left < 5
        await wait_until(lambda: mariadb_database.running("SLEEP(60)") == 0)
        assert await ask(mysql, "SELECT 1") == [(1,)]
        assert await ask(crowd, "SELECT 1") == [(1,)]
    finally:
        mariadb_database.server.execute("SET GLOBAL max_connections = DEFAULT")
    await crowd.close()


async def ask_until_there_is_room(connector: Connector, sql: str) -> None:
    while True:
        with suppress(NothingDoneError):
            await ask(connector, sql)
        await trio.sleep(0.01)


# What an evil server answers to any command: send me this file of yours (LOAD DATA LOCAL INFILE).
GREETED = b"\x00\x00\x00\x02\x00\x00\x00"
GIVE_ME_A_FILE = b"\xfb/etc/passwd"
PREPARED = b"\x00" + b"\x01\x00\x00\x00" + b"\x00\x00" + b"\x00\x00" + b"\x00" + b"\x00\x00"


@pytest.mark.parametrize("polite", [0, 1, 2, 3, 4])
async def test_a_server_is_given_no_file_of_ours(island: Island, polite: int) -> None:
    """Whichever command it answers with the wish for a file: the connection is cut, and nothing of the file leaves."""
    heard = bytearray()

    async def pretend(stream: trio.SocketStream) -> None:
        async def answer(packet: bytes, number: int) -> None:
            await stream.send_all(len(packet).to_bytes(3, "little") + bytes([number]) + packet)

        await answer(GREETING, 0)
        await stream.receive_some()
        await answer(GREETED, 2)
        commands = 0
        with suppress(trio.BrokenResourceError):
            async for data in stream:
                heard.extend(data)
                commands += 1
                if commands > polite:
                    await answer(GIVE_ME_A_FILE, 1)
                else:
                    await answer(PREPARED if data[4] == 0x16 else GREETED, 1)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, pretend, 0)
        port = listeners[0].socket.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "database": "x", "user": "me", "password": "s3cret"}
        connector = build(CONNECTOR, {**settings, "ssl": "disable", "command_timeout": 5}, island)
        with pytest.raises(ConnectorError):
            await ask(connector, "SELECT 1")
        await connector.close()
        nursery.cancel_scope.cancel()
    assert b"root:" not in heard


async def test_files_are_not_loaded_by_statements(mysql: Mysql) -> None:
    """Neither ours nor, with LOCAL, by way of the protocol; and never two statements at once."""
    await ask(mysql, "CREATE TABLE t (a text)")
    for sql in (
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
        "INSERT INTO t VALUES ('x'); DROP TABLE t",
        "SELECT 1;;SELECT 2",
        "/*! LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t */",
        "KILL USER penstock",
    ):
        with pytest.raises(StatementError):
            await ask(mysql, sql)
    assert await ask(mysql, "SELECT * FROM t") == []


def nonsense(choose: random.Random) -> bytes:
    """A packet as no server means it: noise, half of one, or one with a byte that is another."""
    like = bytearray(choose.choice([PREPARED, GREETED, GREETING, b"\xff\x10\x04#08004no"]))
    match choose.randrange(4):
        case 0:
            return choose.randbytes(choose.randrange(30))
        case 1:
            return bytes([choose.choice([0, 1, 2, 0xFB, 0xFE, 0xFF])]) + choose.randbytes(choose.randrange(30))
        case 2:
            return bytes(like[: choose.randrange(len(like))])
        case _:
            like[choose.randrange(len(like))] = choose.randrange(256)
            return bytes(like)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_answers_at_the_port_is_an_error_of_the_connection(island: Island, seed: int) -> None:
    """Another kind of server, a broken one, an evil one, from the greeting on: told, and never an error of ours."""
    choose = random.Random(seed)

    async def pretend(stream: trio.SocketStream) -> None:
        polite = choose.randrange(-2, 6)

        async def answer(packet: bytes, number: int) -> None:
            await stream.send_all(len(packet).to_bytes(3, "little") + bytes([number]) + packet)

        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await answer(GREETING if polite > -2 else nonsense(choose), 0)
            await stream.receive_some()
            await answer(GREETED if polite > -1 else nonsense(choose), 2)
            async for data in stream:
                polite -= 1
                if polite < 0:
                    for number in range(1, choose.randrange(2, 6)):
                        await answer(nonsense(choose), number)
                    return
                await answer(PREPARED if data[4] == 0x16 else GREETED, 1)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, pretend, 0)
        port = listeners[0].socket.getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "database": "x", "user": "me", "password": "s3cret"}
        settings |= {"ssl": "disable", "command_timeout": 0.5, "connect_timeout": 0.5}
        for _ in range(40):
            connector = build(CONNECTOR, settings, island)
            with suppress(ConnectorError):
                await ask(connector, "SELECT 1")
            await connector.close()
        nursery.cancel_scope.cancel()
