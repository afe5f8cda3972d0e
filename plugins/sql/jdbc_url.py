"""URLs of databases as programs in Java write them, made settings of connectors. Pure.

https://dev.mysql.com/doc/connector-j/en/connector-j-reference-configuration-properties.html,
https://jdbc.postgresql.org/documentation/use/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from plugins.api import StatementError

_URL = re.compile(
    r"(?:jdbc:)?(?P<type>[a-z]+):(?://(?P<place>[^/?#]*)/)?(?P<database>[^/?#;]+)(?:\?(?P<options>[^#]*))?"
)
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:@,\[\]()]+)(?::(?P<port>\d{1,5}))?")
CONNECTORS = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgres", "postgres": "postgres"}
"""The connector of each type of database, as URLs name them."""

_PORTS = {"mysql": 3306, "postgres": 5432}
_LAST_PORT = 65_535
# Of several options about TLS the strictest counts, in whatever order they come.
_STRICTER = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class JdbcUrlError(StatementError):
    """A URL of a database that cannot be used as written: what, and what to do. It quotes no value of an option."""


class JdbcTarget(NamedTuple):
    """What a URL names: the connector, where the database is, and the other settings of the connection.

    `user` and `password` are empty where the URL has none.
    """

    connector: str
    host: str
    port: int
    database: str
    user: str
    password: str
    settings: Mapping[str, Any]


Meaning = Callable[[str], Mapping[str, Any]]
"""What the value of an option means as settings; raises ValueError (with what is expected) for one that cannot be."""


def parse_jdbc_url(url: str) -> JdbcTarget:
    """Read `jdbc:mysql://HOST:PORT/DATABASE?OPTION=VALUE&...`, `jdbc:mariadb:` and `jdbc:postgresql:`.

    Options that change nothing here (text is always UTF-8, statements are always prepared, ...) are passed over.

    Raises:
        JdbcUrlError: it is no such URL, names several hosts, or has an option that is not known.
    """
    found = _URL.fullmatch(url.strip())
    if found is None:
        raise JdbcUrlError("this is no URL of a database; expected jdbc:mysql://HOST:PORT/DATABASE")
    connector = CONNECTORS.get(found["type"])
    if connector is None:
        raise JdbcUrlError(f"databases of type {found['type']} are not known; types: {', '.join(CONNECTORS)}")
    host, port = _host_and_port(found["place"] or "localhost", _PORTS[connector])
    settings: dict[str, Any] = {}
    for name, value in _options(found["options"] or ""):
        meant = _meaning(connector, name, value)
        if "ssl" in meant and "ssl" in settings:
            meant = {"ssl": max(meant["ssl"], settings["ssl"], key=_STRICTER.index)}
        settings.update(meant)
    user, password = settings.pop("user", ""), settings.pop("password", "")
    return JdbcTarget(connector, host, port, unquote(found["database"]), user, password, settings)


def _host_and_port(place: str, default: int) -> tuple[str, int]:
    found = _PLACE.fullmatch(place)
    if found is None:
        raise JdbcUrlError("the URL names no host, several of them, or a user; expected one HOST:PORT")
    port = int(found["port"] or default)
    if not 1 <= port <= _LAST_PORT:
        raise JdbcUrlError(f"{port} is no port")
    return found["host"].strip("[]"), port


def _options(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in text.split("&") if part]
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def _meaning(connector: str, name: str, value: str) -> Mapping[str, Any]:
    options = _MYSQL if connector == "mysql" else _POSTGRES
    meaning = options.get(name.lower())
    if meaning is None:
        known = ", ".join(sorted(options))
        raise JdbcUrlError(f"the URL's option {name} is not known here; leave it out (known, in any case: {known})")
    try:
        return meaning(value)
    except ValueError as error:
        raise JdbcUrlError(f"the URL's option {name}: {error}") from None


def _passed_over(_: str) -> Mapping[str, Any]:
    return {}


def _only(*values: str) -> Meaning:
    """An option that says what is so anyway."""

    def meaning(value: str) -> Mapping[str, Any]:
        if value.lower() not in values:
            raise ValueError(f"only {' or '.join(values)} is to be had here")
        return {}

    return meaning


def _text(setting: str) -> Meaning:
    return lambda value: {setting: value}


def _seconds(setting: str, unit: float) -> Meaning:
    """A time-out; 0 stands for none, which is not to be had: the connector's own counts then."""

    def meaning(value: str) -> Mapping[str, Any]:
        if not value.isascii() or not value.isdecimal():
            raise ValueError("expected a whole number")
        return {setting: int(value) * unit} if int(value) else {}

    return meaning


def _one_of(setting: str, meanings: Mapping[str, str | None]) -> Meaning:
    """One of several words; None stands for no setting."""

    def meaning(value: str) -> Mapping[str, Any]:
        if value.lower() not in meanings:
            raise ValueError(f"expected one of {', '.join(meanings)}")
        word = meanings[value.lower()]
        return {} if word is None else {setting: word}

    return meaning


def _zone(value: str) -> Mapping[str, Any]:
    if value.upper() in {"LOCAL", "SERVER"}:
        raise ValueError("name the zone, or an offset such as +00:00")
    return {"time_zone": "+00:00" if value.upper() in {"UTC", "GMT", "Z"} else value}


_ANY_BOOLEAN = _only("true", "false")
_UTF8 = _only("utf-8", "utf8", "utf8mb4")
_TLS = {"true": "require", "false": "disable"}

_MYSQL: Mapping[str, Meaning] = {
    "user": _text("user"),
    "password": _text("password"),
    "sslmode": _one_of(
        "ssl",
        {
            "disabled": "disable",
            "preferred": "prefer",
            "required": "require",
            "verify_ca": "verify-ca",
            "verify_identity": "verify-full",
            # MariaDB's words.
            "disable": "disable",
            "trust": "require",
            "verify-ca": "verify-ca",
            "verify-full": "verify-full",
        },
    ),
    "usessl": _one_of("ssl", _TLS),
    "requiressl": _one_of("ssl", {"true": "require", "false": None}),
    "verifyservercertificate": _one_of("ssl", {"true": "verify-ca", "false": None}),
    "connecttimeout": _seconds("connect_timeout", 0.001),
    "sockettimeout": _seconds("command_timeout", 0.001),
    "connectiontimezone": _zone,
    "servertimezone": _zone,
    "allowpublickeyretrieval": _ANY_BOOLEAN,
    "allowmultiqueries": _only("false"),
    "allowloadlocalinfile": _only("false"),
    "autoreconnect": _ANY_BOOLEAN,
    "cacheprepstmts": _ANY_BOOLEAN,
    "characterencoding": _UTF8,
    "failoverreadonly": _ANY_BOOLEAN,
    "prepstmtcachesize": _passed_over,
    "prepstmtcachesqllimit": _passed_over,
    "rewritebatchedstatements": _ANY_BOOLEAN,
    "tcpkeepalive": _ANY_BOOLEAN,
    "tinyint1isbit": _only("false"),
    "useaffectedrows": _only("false"),
    "usecompression": _only("false"),
    "usecursorfetch": _ANY_BOOLEAN,
    "usejdbccomplianttimezoneshift": _ANY_BOOLEAN,
    "uselegacydatetimecode": _only("false"),
    "useserverprepstmts": _ANY_BOOLEAN,
    "useunicode": _only("true"),
    "zerodatetimebehavior": _only("convert_to_null", "converttonull"),
}
_POSTGRES: Mapping[str, Meaning] = {
    "user": _text("user"),
    "password": _text("password"),
    "ssl": _one_of("ssl", {"true": "verify-full", "false": "disable"}),
    "sslmode": _one_of("ssl", {mode: mode for mode in _STRICTER}),
    "connecttimeout": _seconds("connect_timeout", 1.0),
    "logintimeout": _seconds("connect_timeout", 1.0),
    "sockettimeout": _seconds("command_timeout", 1.0),
    "applicationname": _passed_over,
    "binarytransfer": _ANY_BOOLEAN,
    "defaultrowfetchsize": _passed_over,
    "preparethreshold": _passed_over,
    "rewritebatchedinserts": _ANY_BOOLEAN,
    "stringtype": _only("unspecified"),
    "tcpkeepalive": _ANY_BOOLEAN,
}
