import subprocess
import sys
from pathlib import Path

from tests.actors.log.parts import open_log, read_all

WRITER = """
import sys
from pathlib import Path
from tests.actors.log.parts import append, open_log, records
log = open_log(Path(sys.argv[1]))
while True:
    offset = log.next_offset
    append(log, records(20, offset, 3000))
    print(log.next_offset, flush=True)
    if offset % 500 == 0:
        log.roll()
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """After SIGKILL at any moment the log opens with every acknowledged record, whole and in order."""
    folder = tmp_path / "t-0"
    for number in range(1, 4):
        acknowledged = write_and_kill(folder, 20 * number)
        log = open_log(folder)
        found, damage = read_all(log, max_bytes=1 << 20)
        assert not damage
        assert len(found) == log.next_offset >= acknowledged
        assert all(record.key == b"key-%d" % record.offset for record in found)


def write_and_kill(folder: Path, commits: int) -> int:
    """Let a process write, kill it after some commits; the next offset that it knew to be safe."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(commits)]
        writer.kill()
        lines += [line for line in writer.stdout.read().split("\n")[:-1] if line]
    return int(lines[-1])
