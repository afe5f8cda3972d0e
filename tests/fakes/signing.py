"""A caller that signs as the field's SDK does: the public client package, and an HTTP client of its kind."""

from __future__ import annotations

from typing import Any, TypedDict

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer


class Sending(TypedDict, total=False):
    """A request as it goes out."""

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes | str


def signed(
    address: str,
    method: str,
    path: str,
    query: list[tuple[str, Any]] | None = None,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | str = b"",
    key: str,
    secret: str,
) -> Sending:
    """What the SDK makes of a request."""
    asked = SdkRequest(
        method=method,
        schema="http",
        host=address,
        resource_path=path,
        query_params=query or [],
        header_params=dict(headers or {}),  # the SDK adds to it
        body=body,
    )
    made = Signer(BasicCredentials(key, secret)).sign(asked)
    return Sending(method=method, uri=made.uri, headers=made.header_params, body=made.body)


def send(address: str, sending: Sending) -> tuple[int, str]:
    """Status, and body or error code, of what comes back."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            sending["method"], f"http://{address}{sending['uri']}", headers=sending["headers"], data=sending["body"]
        )
        failed = answer.status_code >= 400 and bool(answer.content)
        return answer.status_code, answer.json()["error_code"] if failed else answer.text
