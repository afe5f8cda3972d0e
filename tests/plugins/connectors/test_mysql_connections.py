"""Connector mysql against a real MariaDB: ways in, rights, and TLS."""

from contextlib import suppress

import msgspec
import pytest
import trio

from daemon.island import Island
from plugins.api import ConnectorError
from plugins.connectors.mysql import CONNECTOR, MysqlSettings
from plugins.sql.mysql import Mysql
from tests.fakes.mariadb import PASSWORD, MariadbDatabase
from tests.plugins.connectors.contract import LIMITS, PARKING, SOURCE, ask, batch, claimed
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
