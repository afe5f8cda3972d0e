"""What errors of MySQL mean, and what of them is told."""

import pytest
from asyncmy.errors import DataError, MySQLError, OperationalError
from hypothesis import given
from hypothesis import strategies as st

from plugins.api import CommitUnknownError, ConnectorError, NothingDoneError, RowRejectedError
from plugins.sql.mysql_errors import commit_error, query_error, write_error


def error_of(number: int, state: str | None, message: str) -> MySQLError:
    error = OperationalError(number, message)
    error.sqlstate = state
    return error


MESSAGES = [
    (1062, "23000", "Duplicate entry '{}' for key 'PRIMARY'"),
    (1292, "22007", "Incorrect datetime value: '{}' for column `a`.`b`.`c` at row 1"),
    (1292, "22007", "Truncated incorrect DOUBLE value: '{}'"),
    (1366, "HY000", "Incorrect integer value: '{}' for column 'c' at row 7"),
    (1411, "HY000", "Incorrect datetime value: '{}' for function str_to_date"),
    (1690, "22003", "BIGINT value is out of range in '({} + 1)'"),
    (3140, "22032", "Invalid JSON text: \"{}\" at position 0 in value for column 't.c'."),
]


@given(st.sampled_from(MESSAGES), st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_of_a_row_is_told(message: tuple[int, str, str], middle: str) -> None:
    """Whatever quotes and words it has, those of the messages themselves included."""
    number, state, text = message
    value = f"S3{middle}CRET"
    told = str(write_error(error_of(number, state, text.format(value)), "h:1/db", "t"))
    assert "S3" not in told
    assert "CRET" not in told
    assert told.startswith("table t: ")


@pytest.mark.parametrize(
    "value",
    ["x' for column 'secret", "'", '"', "' for key 'a", "\n", "a' at row 1", "' for column `x`.`secret` at row 2"],
)
def test_no_part_of_a_value_with_quotes_is_told(value: str) -> None:
    """A value that looks like the message itself is cut out as a whole."""
    told = str(
        write_error(error_of(1366, "22007", f"Incorrect integer value: '{value}' for column 'c' at row 1"), "w", "t")
    )
    assert told == "table t: Incorrect integer value: '***' for column 'c'"


@pytest.mark.parametrize(
    ("number", "state", "message"),
    [
        (1406, "22001", "Data too long for column 'c' at row 3"),
        (1264, "22003", "Out of range value for column 'c' at row 3"),
        (1265, "01000", "Data truncated for column 'c' at row 3"),
        (1048, "23000", "Column 'c' cannot be null"),
        (3819, "HY000", "Check constraint 'c' is violated."),
        (4025, "23000", "CONSTRAINT `c` failed for `d`.`t`"),
    ],
)
def test_columns_and_constraints_are_told(number: int, state: str, message: str) -> None:
    """They are names, and what whoever repairs it needs; the row's number in its batch is nobody's."""
    told = write_error(error_of(number, state, message), "h:1/db", "t")
    assert isinstance(told, RowRejectedError)
    assert str(told) == f"table t: {message.removesuffix(' at row 3')}"


@pytest.mark.parametrize(
    ("number", "state"),
    [(1146, "42S02"), (1213, "40001"), (1205, "HY000"), (1114, "HY000"), (1644, "45000"), (2013, None)],
)
def test_what_is_not_the_rows_is_the_sinks(number: int, state: str | None) -> None:
    """Holding and retrying is right, and nothing is skipped."""
    assert type(write_error(error_of(number, state, "no"), "h:1/db", "t")) is ConnectorError


@pytest.mark.parametrize(
    ("number", "state", "unknown"),
    [
        *((2013, None, True), (2006, None, True), (1053, "08S01", True), (1927, "70100", True), (1317, "70100", True)),
        *((1213, "40001", False), (1180, "HY000", False)),
    ],
)
def test_a_commit_is_unknown_where_no_answer_says_otherwise(number: int, state: str | None, *, unknown: bool) -> None:
    """A refusal by the server is an answer; a connection that ended is none."""
    assert isinstance(commit_error(error_of(number, state, "x"), "h:1/db"), CommitUnknownError) is unknown


def test_a_deadlock_of_a_procedure_may_have_done_something() -> None:
    """A single statement was rolled back whole; a procedure may have committed before."""
    deadlock = error_of(1213, "40001", "Deadlock found")
    assert isinstance(query_error(deadlock, "w", whole=True), NothingDoneError)
    assert not isinstance(query_error(deadlock, "w", whole=False), NothingDoneError)


def test_what_was_not_sent_was_not_done() -> None:
    """A connection that was found gone before the statement left."""
    assert isinstance(query_error(DataError(2006, "gone"), "w", whole=False), NothingDoneError)
    assert not isinstance(query_error(DataError(2013, "lost"), "w", whole=True), NothingDoneError)
