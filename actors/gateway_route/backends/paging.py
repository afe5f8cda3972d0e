"""A page of one query's rows, and how many there are in all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from config.resources import Parameter

PAGE_NUMBER = "pageNo"
PAGE_SIZE = "pageSize"
TOTAL = "total"
DEFAULT_SIZE = 20

# Names that no caller's parameter has: those of callers come from a URL or a body under names of their own choice.
_LIMIT = "penstock_limit"
_OFFSET = "penstock_offset"
_MOST_PAGES = 1_000_000_000


class Page(NamedTuple):
    """Which page is asked for; pages count from 1."""

    number: int
    size: int

    def parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of the statement that reads it."""
        return {**values, _LIMIT: self.size, _OFFSET: (self.number - 1) * self.size}


def paging_parameters(declared: Iterable[Parameter], max_size: int) -> tuple[Parameter, ...]:
    """`pageNo` and `pageSize` as a caller gives them, where the route does not declare them in its own words."""
    names = {one.name for one in declared}
    most = min(DEFAULT_SIZE, max_size)
    wanted = (
        Parameter(name=PAGE_NUMBER, place="query", type="integer", default=1, min=1, max=_MOST_PAGES),
        Parameter(name=PAGE_SIZE, place="query", type="integer", default=most, min=1, max=max_size),
    )
    return tuple(one for one in wanted if one.name not in names)


def page_of(values: Mapping[str, Any], max_size: int) -> Page:
    """The page that a call asks for, whatever way the route declares it.

    Raises:
        ValueError: a number is missing, is none, or is out of range; names it.
    """
    number = _whole(values, PAGE_NUMBER, _MOST_PAGES)
    return Page(number, _whole(values, PAGE_SIZE, max_size))


def page_sql(sql: str) -> str:
    """The statement that reads one page of another one's rows, in its order."""
    return f"SELECT * FROM (\n{_bare(sql)}\n) AS penstock_page LIMIT :{_LIMIT} OFFSET :{_OFFSET}"  # noqa: S608 - the operator's


def total_sql(sql: str) -> str:
    """The statement that counts another one's rows."""
    return f"SELECT COUNT(*) AS {TOTAL} FROM (\n{_bare(sql)}\n) AS penstock_total"  # noqa: S608 - the operator's


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";").rstrip()


def _whole(values: Mapping[str, Any], name: str, most: int) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"parameter {name} must be an integer")  # noqa: TRY004 - the caller's fault, not the program's
    if not 1 <= value <= most:
        raise ValueError(f"parameter {name} must be at least 1 and at most {most}")
    return value
