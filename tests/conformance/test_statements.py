"""The table of normative statements against the tests that name them."""

from collections import Counter

import pytest

from tests.conformance.index import missing, named_in_tests, names, statements

Named = dict[str, set[str]]


@pytest.fixture(scope="module")
def named() -> Named:
    return named_in_tests()


def test_every_statement_is_in_the_table_once() -> None:
    """MQTT 3.1.1 has 141 numbered statements, MQTT 5 has 251, in chapters 1 to 6 as its appendix B counts them."""
    table = statements()
    assert not [name for name, count in Counter(statement.name for statement in table).items() if count > 1]
    chapters = Counter(statement.name.split(".")[0] for statement in table)
    assert [chapters[f"MQTT5-{chapter}"] for chapter in range(1, 7)] == [5, 7, 175, 60, 0, 4]
    assert sum(count for chapter, count in chapters.items() if chapter.startswith("MQTT-")) == 141
    assert all(statement.asks for statement in table)


def test_every_statement_has_a_test_or_a_reason(named: Named) -> None:
    """A statement without reason in the table is named by a test; `open` is no reason."""
    table = statements()
    assert [statement.name for statement in missing(table, named)] == []
    assert [statement.name for statement in table if len(statement.why_not.split()) == 1] == []


def test_no_test_names_a_statement_that_there_is_not(named: Named) -> None:
    """What a docstring names is in the table."""
    known = {statement.name for statement in statements()}
    unknown = {name: sorted(tests) for name, tests in named.items() if name not in known}
    assert unknown == {}


def test_how_docstrings_name_statements() -> None:
    """A prefix goes on until the next one; numbers of sections and versions are none."""
    docstring = (
        "MQTT 3.1.1, 3.1.2.11: as it says [MQTT5-3.4.2-1, 3.5.2-1; MQTT-2.2.2-1,\n    2.2.2-2] and (MQTT-3.8.4-5)."
    )
    expected = ["MQTT5-3.4.2-1", "MQTT5-3.5.2-1", "MQTT-2.2.2-1", "MQTT-2.2.2-2", "MQTT-3.8.4-5"]
    assert list(names(docstring)) == expected
    assert list(names("3.1.2-4 without a prefix")) == []
