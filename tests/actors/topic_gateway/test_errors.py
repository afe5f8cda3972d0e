"""How faults of a topic become refusals of calls."""

from __future__ import annotations

import pytest

from actors.errors import CircuitOpenError, StorageError
from actors.topic_gateway.errors import of_append
from actors.topic_partition.gate import Gate, GateState


def test_a_backlog_is_told_once() -> None:
    """Its reason and when to come back; that the topic takes nothing is the message already."""
    gate = Gate("lot")
    gate.set(GateState.REJECTING, "group g lags", retry_after=3.0)
    with pytest.raises(CircuitOpenError) as open_circuit:
        gate.admit(1)
    refused = of_append(open_circuit.value)
    assert (refused.error.message, refused.detail) == ("The topic takes no records now.", "group g lags")
    assert refused.headers == (("Retry-After", "3"),)


def test_files_are_not_told() -> None:
    """They are the operator's affair."""
    assert "/data" not in of_append(StorageError("/data/t-0: disk full")).detail
