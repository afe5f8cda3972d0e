"""The table of the gateway's errors."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from actors.http_calls import errors

FACTS = Path(__file__).parents[3].parent / "shared" / "facts" / "gateway-errors.csv"


@pytest.mark.skipif(not FACTS.exists(), reason="the published table is not at hand")
def test_the_table_is_the_published_one() -> None:
    """Same numbers, same messages, same statuses, in the same order; only the prefix is our own."""
    with FACTS.open(newline="") as file:
        published = [
            (row["code"].replace("APIG.", "APIC."), row["msg"], int(row["http"])) for row in csv.DictReader(file)
        ]
    assert [(error.code, error.message, error.status) for error in errors.PUBLISHED] == published


def test_own_errors_add_statuses_and_change_none() -> None:
    """What we add to the family of request errors has a status that the published table lacks there."""
    published = {(error.code, error.status) for error in errors.PUBLISHED}
    assert published.isdisjoint((error.code, error.status) for error in errors.OWN)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "API request error."),
        (405, "Method not allowed."),
        (408, "Request timeout."),
        (413, "Request entity too large."),
        (414, "Request URI too large."),
        (417, "Expectation failed."),
        (494, "Request headers too large."),
        (500, "An unexpected error occurred"),
        (501, "Method not implemented."),
        (503, "The API is busy."),
    ],
)
def test_each_refusal_of_the_server_has_its_error(status: int, message: str) -> None:
    """Every status with which a request is refused before it has a route has a row of the table."""
    error = errors.error_of_status(status)
    assert (error.code, error.message, error.status) == ("APIC.0201", message, status)


def test_errors_have_one_shape() -> None:
    """error_code, error_msg, request_id, nothing else; a detail follows the message."""
    response = errors.error_response(errors.BAD_REQUEST, 'id-"7"', "a parameter is given twice", (("Allow", "GET"),))
    assert response.status == 400
    assert response.headers == (("Content-Type", "application/json"), ("Allow", "GET"))
    assert msgspec.json.decode(response.body) == {
        "error_code": "APIC.0201",
        "error_msg": "API request error: a parameter is given twice",
        "request_id": 'id-"7"',
    }
