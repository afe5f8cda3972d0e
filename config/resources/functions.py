"""Kind `function`: logic that integrators write, for routes, authorizers, mappings, rules and tasks to call."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name

MEBIBYTE = 1024 * 1024
MAX_MEMORY = 64 * MEBIBYTE
"""What a JavaScript function may take, unless it says otherwise. In bytes."""


class Function(
    AppResource,
    tag_field="kind",
    tag="function",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A function: one JSON value in, one JSON value out.

    `python`: `module` is a plugin module that the operator has installed or dropped in; it is trusted. `javascript`:
    `source` is the script, whose `execute(data)` is called; it is not trusted, and runs in a process of its own within
    `max_memory` bytes. Both have `timeout_ms` for a call, and answer with at most `max_result_bytes` of JSON.

    `concurrency` calls run at a time; `queue` more (left out: as many) wait for their turn; others are refused.

    What is applied is saved and deployed as a new version, unless it says `deploy: false`: then it is a draft, which
    is tested and deployed by hand. `enabled: false` refuses every call, whatever is deployed.
    """

    language: Literal["python", "javascript"]
    module: Name | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=MEBIBYTE)] | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 5_000
    max_memory: Annotated[int, msgspec.Meta(ge=8 * MEBIBYTE, le=1024 * MEBIBYTE)] = MAX_MEMORY
    max_result_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 * MEBIBYTE)] = MEBIBYTE
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 128
    queue: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    deploy: bool = True
    enabled: bool = True

    def __post_init__(self) -> None:
        """The code is where the language says."""
        wanted, other = ("module", "source") if self.language == "python" else ("source", "module")
        if getattr(self, other) is not None:
            raise ValueError(f"`{other}` does not go with `language: {self.language}`, which has `{wanted}`")
        if getattr(self, wanted) is None:
            raise ValueError(f"a function with `language: {self.language}` needs `{wanted}`")
