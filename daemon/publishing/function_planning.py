"""What applying and deploying change about the functions that run: decided whole, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from actors.errors import ConfigurationError
from config.resources import Function
from daemon.catalog.steps import Step
from daemon.publishing.publications import Publications
from daemon.publishing.resolve import UnpublishableError
from daemon.store.function_versions import FunctionVersion
from daemon.store.publications import Publication

VerifyFunction = Callable[[Function], object]
"""Tries whether a function could run; raises ConfigurationError."""

_APPLIED = "applied"


class FunctionRefusal(NamedTuple):
    """A function that cannot be deployed: where the reason stands, and what it is."""

    function: str
    path: str
    reason: str


class FunctionPlan(NamedTuple):
    """What would be deployed, or why it is refused."""

    deployed: tuple[FunctionVersion, ...]
    refused: tuple[FunctionRefusal, ...]


class FunctionPlanner:
    """Compares functions as they are saved with those that run."""

    def __init__(self, publications: Publications, verify: VerifyFunction) -> None:
        self._publications = publications
        self._verify = verify

    def follow(self, steps: Sequence[Step], now: int) -> FunctionPlan:
        """What an apply deploys: functions that say so and whose code, or whose limits, are not those that run."""
        deployed, refused = [], []
        for function in _applied(steps):
            if same_code(self._publications.running(function.name), function):
                continue
            try:
                deployed.append(self._version(function, now, _APPLIED))
            except UnpublishableError as error:
                refused.append(FunctionRefusal(function.name, error.path, str(error)))
        return FunctionPlan(tuple(deployed), tuple(refused))

    def deploy(self, function: Function, now: int, remark: str) -> Publication:
        """A function as it is saved, as the version that runs; where that one has this code already, nothing changes.

        Raises:
            UnpublishableError: it could not run.
        """
        if same_code(self._publications.running(function.name), function):
            return Publication()
        new = (self._version(function, now, remark),)
        return Publication(functions=new, running=new)

    def switch(self, version: FunctionVersion) -> Publication:
        """An older version, to run again.

        Raises:
            UnpublishableError: it could not run any more.
        """
        self._try(version.function)
        return Publication(running=(version,))

    def _version(self, function: Function, now: int, remark: str) -> FunctionVersion:
        self._try(function)
        return FunctionVersion(settled(function), self._publications.last_function(function.name) + 1, now, remark)

    def _try(self, function: Function) -> None:
        try:
            self._verify(function)
        except ConfigurationError as error:
            raise UnpublishableError("$.module" if function.language == "python" else "$.source", str(error)) from error


def settled(function: Function) -> Function:
    """What of a function is part of a version: its code and its limits, and nothing about whose it is."""
    return msgspec.structs.replace(
        function, title="", description="", tags=(), shared_with=(), deploy=True, enabled=True
    )


def bound(version: FunctionVersion, saved: Function) -> Function:
    """A version as it runs now: whose it is, who may call it and whether anybody may is as it is saved."""
    return msgspec.structs.replace(
        version.function,
        app=saved.app,
        shared_with=saved.shared_with,
        enabled=saved.enabled,
    )


def same_code(version: FunctionVersion | None, function: Function) -> bool:
    """Whether a version has the code and the limits of a function as it is saved."""
    return version is not None and settled(msgspec.structs.replace(version.function, app=function.app)) == settled(
        function
    )


def _applied(steps: Sequence[Step]) -> Iterator[Function]:
    for step in steps:
        function = step.after.resource
        if step.action != "unchanged" and isinstance(function, Function) and function.deploy:
            yield function
