"""Request and response mappings that a function makes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.gateway_route.call import Call
from actors.gateway_route.functions.answers import UnusableAnswerError, is_whole, response_of
from actors.gateway_route.functions.caller import RouteFunction
from actors.gateway_route.functions.requests import body_fields, header_fields, hidden_headers, request_data
from actors.http_calls.errors import BAD_REQUEST, CallRefusedError
from actors.wire.http.messages import Response
from actors.wire.http.responses import has_body
from config.resources import Route

_REQUEST_FIELDS = frozenset({"parameters", "body", "base64", "refuse"})
_LONGEST_REASON = 500


class RequestFunction:
    """The step that has a function rewrite what the backend gets: parameters, the body, or both.

    It answers `{"parameters": {...}, "body": ...}`: what is there takes the place of what came, all of it. A body that
    is no text is sent on as JSON. `{"refuse": "why"}` ends the call with 400. An empty object, or null, changes
    nothing.
    """

    def __init__(self, route: Route, function: RouteFunction) -> None:
        self._route = route.name
        self._function = function
        self._hidden = hidden_headers(route)

    async def __call__(self, call: Call) -> None:
        """Ask, and put in what it says.

        Raises:
            CallRefusedError: it refuses the call, brought no answer, or one that cannot be used.
        """
        answer = await self._function(request_data(call, self._route, self._hidden))
        if answer is None:
            return
        if not isinstance(answer, dict) or not answer.keys() <= _REQUEST_FIELDS:
            raise self._function.refuse(
                "a request mapping answers an object with `parameters`, `body` or `refuse`, and this one something else"
            )
        if "refuse" in answer:
            raise CallRefusedError(BAD_REQUEST, str(answer["refuse"])[:_LONGEST_REASON])
        if "parameters" in answer:
            call.parameters = self._parameters(answer["parameters"])
        if "body" in answer:
            call.body = self._body(answer)

    def _parameters(self, given: Any) -> Mapping[str, Any]:
        """A list or an object becomes JSON text, as one in a caller's body does."""
        if not isinstance(given, dict):
            raise self._function.refuse("`parameters` of its answer is no object")
        return {
            name: msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value
            for name, value in given.items()
        }

    def _body(self, answer: Mapping[str, Any]) -> bytes:
        body = answer["body"]
        if not isinstance(body, str):
            return b"" if body is None else msgspec.json.encode(body)
        if answer.get("base64") is not True:
            return body.encode(errors="replace")
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self._function.refuse("`body` of its answer is no base64") from error


class ResponseFunction:
    """What has a function rewrite an answer of the backend; it gets it as a backend's function would give it.

    Beside `status`, `headers` and `body` (or its base64) it gets the `request`. It answers the same way: an answer
    that says nothing of headers keeps those that were there, and any other JSON value is the new body alone. What is
    sent piece by piece is not for functions, and stays as it is.
    """

    def __init__(self, route: Route, function: RouteFunction) -> None:
        self._route = route.name
        self._function = function
        self._hidden = hidden_headers(route)

    async def __call__(self, call: Call, response: Response) -> Response:
        """Ask, and make an answer of what it says.

        Raises:
            CallRefusedError: it brought no answer, or one that cannot be sent.
        """
        if not isinstance(response.body, bytes):
            return response
        data = {
            "status": response.status,
            "headers": header_fields(response.headers),
            **body_fields(response.body),
            "request": request_data(call, self._route, self._hidden),
        }
        value = await self._function(data)
        headers = tuple(one for one in response.headers if one[0].lower() != "content-type")
        try:
            answer = response_of(value, headers=headers)
        except UnusableAnswerError as error:
            raise self._function.refuse(f"what it answered cannot be sent: {error}") from error
        if is_whole(value):
            return answer
        if not has_body(response.status):
            return response
        return Response(response.status, answer.headers, answer.body)
