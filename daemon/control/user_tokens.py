"""`POST /api/v1/tokens`: a token for a user's name and password. It needs no token of the daemon's own."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

import msgspec
from quart import Blueprint, Response

from daemon.control import problems
from daemon.control.context import Family, Operation
from daemon.control.problems import RequestError
from daemon.control.requests import json_body, only
from daemon.user_tokens import LoginBusyError, LoginError, UserTokens

PATH = "/api/v1/tokens"
_CHALLENGE = {"WWW-Authenticate": 'Password realm="penstock"'}


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    user: str
    password: str


def user_tokens_family(tokens: UserTokens) -> Family:
    """Log-in of users."""
    summary = "Log a user in: `user` and `password`; answers a token for X-Auth-Token, and when it expires"
    return Family(
        blueprint=lambda: _blueprint(tokens),
        operations=(Operation("POST", PATH, summary),),
        open_to_all=frozenset({("POST", PATH)}),
    )


def _blueprint(tokens: UserTokens) -> Blueprint:
    blueprint = Blueprint("user_tokens", __name__)

    @blueprint.post("/tokens")
    async def issue() -> Response:
        only(())
        try:
            login = msgspec.convert(await json_body(), _Login)
        except msgspec.ValidationError as error:
            raise RequestError(f"the body has `user` and `password`: {error}") from error
        try:
            issued = await tokens.issue(login.user, login.password)
        except LoginError as error:
            return problems.problem(HTTPStatus.UNAUTHORIZED, str(error), headers=_CHALLENGE)
        except LoginBusyError as error:
            return problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "1"})
        expires = datetime.fromtimestamp(issued.expires, UTC).isoformat()
        return problems.answer({"token": issued.token, "user": login.user, "expires": expires}, HTTPStatus.CREATED)

    return blueprint
