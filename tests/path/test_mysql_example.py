"""The example of MySQL as it stands, but for where the server is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

import config
from tests.fakes.daemon import ChildDaemon
from tests.fakes.mariadb import MariadbDatabase, fixture_mariadb_database, fixture_mariadb_server

__all__ = ["fixture_mariadb_database", "fixture_mariadb_server"]

EXAMPLE = Path(config.__file__).parent / "examples" / "mysql.yaml"
APP = ("shop-key", "shop-secret")
ORDERS = [
    {"id": 1, "customer": "Tom", "amount": 9.5, "at": "2024-02-29T12:00:00Z"},
    {"id": 2, "customer": "Ann", "amount": 1, "at": "2024-03-01T12:00:00Z"},
    {"id": 3, "customer": "Tom", "amount": 2, "at": "2024-03-02T12:00:00Z"},
]


def test_the_example_of_mysql_runs_as_it_stands(
    mariadb_database: MariadbDatabase, tmp_path: Path, folder: Path
) -> None:
    """Orders that were produced stand in the table, and the procedure of the comments answers for one customer."""
    text = EXAMPLE.read_text()
    procedure = re.search(r"DELIMITER //\n.*?END //\n", text, re.DOTALL)
    assert procedure is not None
    mariadb_database.execute(procedure[0].replace("#", "").replace("shop.orders_of", "orders_of"))
    manifest = tmp_path / "mysql.yaml"
    settings = msgspec.json.encode(mariadb_database.settings).decode()
    manifest.write_text(re.sub(r"settings:\n(  .*\n)+", lambda _: f"settings: {settings}\n", text))
    with ChildDaemon(folder) as daemon:
        applied = daemon.penstock("apply", "-f", str(manifest))
        assert applied.returncode == 0, applied.stderr
        with daemon.topics() as client:
            messages = [{"id": str(order["id"]), "content": order} for order in ORDERS]
            answer = client.post("/v1/topic/orders/messages", auth=APP, json={"messages": messages})
            assert answer.status_code == 200, answer.text
        daemon.wait_lag_zero("orders-to-table")
        with daemon.gateway() as client:
            answer = client.get("/shop/orders", params={"customer": "Tom"}, auth=APP)
        assert answer.json() == {
            "default": [{"id": 1, "amount": 9.5}, {"id": 3, "amount": 2.0}],
            "default_2": [{"orders": 2, "amount": 11.5}],
        }
        assert daemon.stop() == 0
