from daemon.listeners.memory import CrowdMemory


async def test_memory_is_given_back_once_a_crowd_has_gone() -> None:
    """Not while it is there, not for a few, and not again and again while one crowd follows another."""
    memory = CrowdMemory()
    memory._trim = lambda _: 1  # what the C library has, where it has it
    assert not await memory.look(accepted=400, present=0, now=0.0)
    assert not await memory.look(accepted=2000, present=1900, now=1.0)
    assert await memory.look(accepted=2000, present=100, now=2.0)
    assert not await memory.look(accepted=2000, present=0, now=20.0)
    assert await memory.look(accepted=4000, present=0, now=21.0)
    assert not await memory.look(accepted=6000, present=0, now=22.0)
    assert await memory.look(accepted=6000, present=0, now=31.0)
