"""Who reads which partition: sticky and balanced (KIP-54), for a cooperative hand-over (KIP-429)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Assignments = dict[int, str]
"""Partition -> member."""


def assign(partitions: int, members: Sequence[str], previous: Mapping[int, str]) -> Assignments:
    """Give each of the partitions 0..n-1 to exactly one member, as evenly as possible and with the fewest moves.

    No two members differ by more than one partition. A partition moves away from a living member only where balance
    asks for it: whoever holds most already gets the larger shares, which is what makes the moves fewest. Without
    members nothing is assigned. The result depends on nothing but the arguments; `members` is in order of joining.
    """
    if not members:
        return {}
    held: dict[str, list[int]] = {member: [] for member in members}
    for partition in range(partitions):
        member = previous.get(partition)
        if member in held:
            held[member].append(partition)
    shares = _shares(partitions, held)
    kept = {partition: member for member, own in held.items() for partition in own[: shares[member]]}
    vacant = (partition for partition in range(partitions) if partition not in kept)
    takers = (member for member, own in held.items() for _ in range(shares[member] - len(own)))
    return {**kept, **dict(zip(vacant, takers, strict=True))}


def _shares(partitions: int, held: Mapping[str, Sequence[int]]) -> dict[str, int]:
    share, larger = divmod(partitions, len(held))
    # sorted() is stable: among equals, whoever joined first gets the larger share.
    by_holding = sorted(held, key=lambda member: -len(held[member]))
    return {member: share + (rank < larger) for rank, member in enumerate(by_holding)}
