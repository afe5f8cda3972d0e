"""What a backend gets: the caller's parameters under other names, constants, and values of the system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actors.gateway_route.call import Call
from actors.gateway_route.mapping.system import ValueOf, system_value
from config.resources import BackendParameter

RequestMapping = Callable[[Call], dict[str, Any]]
"""The parameters of a backend, by name."""


def request_mapping(parameters: Sequence[BackendParameter], route: str) -> RequestMapping:
    """Compile what a backend asks for.

    What is renamed is gone under its old name. A name that is set here never has what the caller wrote under it.
    """
    sources = tuple((one.name, _source(one, route)) for one in parameters)
    hidden = {one.parameter for one in parameters if one.parameter is not None} | {one.name for one in parameters}

    def mapped(call: Call) -> dict[str, Any]:
        values = {name: value for name, value in call.parameters.items() if name not in hidden}
        for name, source in sources:
            values[name] = source(call)
        return values

    return mapped


def _source(parameter: BackendParameter, route: str) -> ValueOf:
    name, constant = parameter.parameter, parameter.constant
    if name is not None:
        return lambda call: call.parameters.get(name)
    if parameter.system is not None:
        return system_value(parameter.system, route)
    return lambda _call: constant
