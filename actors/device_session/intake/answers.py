"""What a publishing client is answered, as plain numbers: one is made for each report.

An answer is a word of 32 bits: the packet id (bits 0 to 15), what is said (bits 16 and 17) and the reason code of
MQTT 5 (bits 24 to 31). So PUBACK of success, which nearly all are, is the packet id itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.wire.mqtt.dialect import Dialect

_PACKET_ID: Final = 0xFFFF
_KIND: Final = 0x3_0000
_PUBREC: Final = 0x1_0000
_PUBCOMP: Final = 0x2_0000
_REASON_SHIFT: Final = 24
_FAILURE: Final = 0x80 << _REASON_SHIFT


def puback(packet_id: int, reason: int = 0) -> int:
    """The answer to a PUBLISH with QoS 1."""
    return packet_id | reason << _REASON_SHIFT


def pubrec(packet_id: int, reason: int = 0) -> int:
    """The first answer to a PUBLISH with QoS 2; with a reason from 0x80 on also the last one."""
    return packet_id | _PUBREC | reason << _REASON_SHIFT


def pubcomp(packet_id: int, reason: int = 0) -> int:
    """The last answer to a PUBLISH with QoS 2."""
    return packet_id | _PUBCOMP | reason << _REASON_SHIFT


def refused(answer: int, reason: int) -> int:
    """The same answer with another reason."""
    return answer & (_PACKET_ID | _KIND) | reason << _REASON_SHIFT


def packet_id_of(answer: int) -> int:
    """Whom it answers."""
    return answer & _PACKET_ID


def is_received(answer: int) -> bool:
    """Whether it is a PUBREC that does not refuse: the message stays open until it is released."""
    return answer & _KIND == _PUBREC and answer < _FAILURE


def are_plain(answers: Sequence[int]) -> bool:
    """Whether all of them are PUBACK of success, and so plain packet ids; to be asked of one or more."""
    return max(answers) <= _PACKET_ID


def finished(answers: Sequence[int]) -> int:
    """How many of the client's messages these finish: all but those that stay open until they are released."""
    if not answers or max(answers) <= _PACKET_ID:
        return len(answers)
    return sum(not is_received(answer) for answer in answers)


def encode(dialect: Dialect, answers: Sequence[int]) -> bytes:
    """The packets, in this order, as one piece."""
    if not answers:
        return b""
    if max(answers) <= _PACKET_ID:
        return dialect.pubacks(answers)
    return b"".join(_run(dialect, said, list(run)) for said, run in groupby(answers, _without_packet_id))


def _without_packet_id(answer: int) -> int:
    return answer & ~_PACKET_ID


def _run(dialect: Dialect, said: int, answers: list[int]) -> bytes:
    """Answers that all say the same."""
    packet_ids = [answer & _PACKET_ID for answer in answers]
    reason, kind = said >> _REASON_SHIFT, said & _KIND
    if not reason:
        many = {0: dialect.pubacks, _PUBREC: dialect.pubrecs, _PUBCOMP: dialect.pubcomps}[kind]
        return many(packet_ids)
    one = {0: dialect.puback, _PUBREC: dialect.pubrec, _PUBCOMP: dialect.pubcomp}[kind]
    return b"".join(one(packet_id, reason) for packet_id in packet_ids)
