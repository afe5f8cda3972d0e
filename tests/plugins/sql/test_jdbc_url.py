"""URLs of databases as programs in Java write them."""

from typing import Any

import msgspec
import pytest

from plugins.sql.jdbc_url import JdbcTarget, JdbcUrlError, parse_jdbc_url
from plugins.sql.mysql_settings import MysqlSettings
from plugins.sql.postgres_settings import PostgresSettings


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("jdbc:mysql://127.0.0.1:3306/db", ("mysql", "127.0.0.1", 3306, "db")),
        ("jdbc:mysql://db.example/shop", ("mysql", "db.example", 3306, "shop")),
        ("jdbc:mariadb://[::1]:3307/db", ("mysql", "::1", 3307, "db")),
        ("mysql://h/a%20b", ("mysql", "h", 3306, "a b")),
        ("jdbc:postgresql://h:1/db", ("postgres", "h", 1, "db")),
        ("jdbc:postgresql:db", ("postgres", "localhost", 5432, "db")),
        ("jdbc:mysql:///db", ("mysql", "localhost", 3306, "db")),
    ],
)
def test_a_url_names_one_database(url: str, place: tuple[str, str, int, str]) -> None:
    """Connector, host, port and database, each with what is usual where it is left out."""
    target = parse_jdbc_url(url)
    assert target == JdbcTarget(*place, user="", password="", settings={})


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("allowPublicKeyRetrieval=true", {}),
        ("useUnicode=true&characterEncoding=UTF-8&zeroDateTimeBehavior=convertToNull&autoReconnect=true", {}),
        ("useSSL=false", {"ssl": "disable"}),
        ("useSSL=true", {"ssl": "require"}),
        ("useSSL=true&requireSSL=true&verifyServerCertificate=true", {"ssl": "verify-ca"}),
        ("verifyServerCertificate=true&useSSL=true", {"ssl": "verify-ca"}),
        ("verifyServerCertificate=false&useSSL=true", {"ssl": "require"}),
        ("sslMode=VERIFY_IDENTITY", {"ssl": "verify-full"}),
        ("sslMode=PREFERRED", {"ssl": "prefer"}),
        ("connectTimeout=2500&socketTimeout=0", {"connect_timeout": 2.5}),
        ("serverTimezone=UTC", {"time_zone": "+00:00"}),
        ("serverTimezone=%2B02:00", {"time_zone": "+02:00"}),
        ("connectionTimeZone=Europe/Berlin&", {"time_zone": "Europe/Berlin"}),
    ],
)
def test_options_of_mysql_mean_settings(options: str, settings: dict[str, Any]) -> None:
    """What they say of the connection, in whatever order; the settings are those of the connector."""
    target = parse_jdbc_url(f"jdbc:mysql://h/db?{options}")
    assert target.settings == pytest.approx(settings)
    msgspec.convert({"host": "h", "database": "db", "user": "u", **target.settings}, MysqlSettings)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("ssl=true", {"ssl": "verify-full"}),
        ("sslmode=require&ApplicationName=shop", {"ssl": "require"}),
        ("ssl=true&sslmode=require", {"ssl": "verify-full"}),
        ("loginTimeout=3&socketTimeout=9", {"connect_timeout": 3.0, "command_timeout": 9.0}),
    ],
)
def test_options_of_postgresql_mean_settings(options: str, settings: dict[str, Any]) -> None:
    """Its time-outs are in seconds."""
    target = parse_jdbc_url(f"jdbc:postgresql://h/db?{options}")
    assert target.settings == settings
    msgspec.convert({"host": "h", "database": "db", **target.settings}, PostgresSettings)


def test_user_and_password_stand_apart() -> None:
    """They are no settings like others: whoever calls may have his own."""
    target = parse_jdbc_url("jdbc:mysql://h/db?user=me&password=a%26b")
    assert (target.user, target.password, target.settings) == ("me", "a&b", {})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "no URL of a database"),
        ("nonsense", "no URL of a database"),
        ("jdbc:mysql://h:3306/", "no URL of a database"),
        ("jdbc:mysql://h/db/more", "no URL of a database"),
        ("jdbc:oracle://h:1/db", "type oracle are not known"),
        ("jdbc:mysql://a,b/db", "several of them"),
        ("jdbc:mysql://me:s3cret@h/db", "or a user"),
        ("jdbc:mysql://h:0/db", "no port"),
        ("jdbc:mysql://h:70000/db", "no port"),
        ("jdbc:mysql://h/db?frobnicate=s3cret", "option frobnicate is not known"),
        ("jdbc:mysql://h/db?allowMultiQueries=true", "only false is to be had"),
        ("jdbc:mysql://h/db?allowLoadLocalInfile=true", "only false"),
        ("jdbc:mysql://h/db?characterEncoding=GBK", "only utf-8"),
        ("jdbc:mysql://h/db?useSSL=s3cret", "expected one of true, false"),
        ("jdbc:mysql://h/db?connectTimeout=-1", "expected a whole number"),
        ("jdbc:mysql://h/db?serverTimezone=LOCAL", "name the zone"),
        ("jdbc:postgresql://h/db?currentSchema=x", "option currentSchema is not known"),
    ],
)
def test_what_cannot_be_is_refused_by_name(url: str, told: str) -> None:
    """Nothing is passed over that would mean something; values, which may be secret, are not quoted."""
    with pytest.raises(JdbcUrlError, match=told) as caught:
        parse_jdbc_url(url)
    assert "s3cret" not in str(caught.value)
