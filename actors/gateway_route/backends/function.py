"""Backend `function`: a function answers."""

from __future__ import annotations

import msgspec

from actors.gateway_route.call import Call
from actors.gateway_route.functions.answers import UnusableAnswerError, response_of
from actors.gateway_route.functions.caller import RouteFunction
from actors.gateway_route.functions.requests import hidden_headers, request_data
from actors.gateway_route.mapping.request import request_mapping
from actors.wire.http.messages import Response
from config.resources import FunctionBackend, Route


class FunctionAnswer:
    """Hands each call to a function as a JSON object, and makes an answer of what it says (see `response_of`).

    Nothing is tried again: nobody knows what a function that failed has done before.
    """

    takes_body = True
    waits = True

    def __init__(self, settings: FunctionBackend, route: Route, function: RouteFunction) -> None:
        self._route = route.name
        self._function = function
        self._hidden = hidden_headers(route)
        self._map = request_mapping(settings.parameters, route.name) if settings.parameters else None

    async def answer(self, call: Call) -> Response:
        """Ask the function.

        Raises:
            CallRefusedError: it brought no answer, or one that cannot be sent.
        """
        if self._map is not None:
            call = msgspec.structs.replace(call, parameters=self._map(call))
        value = await self._function(request_data(call, self._route, self._hidden))
        try:
            return response_of(value)
        except UnusableAnswerError as error:
            raise self._function.refuse(f"what it answered cannot be sent: {error}") from error
