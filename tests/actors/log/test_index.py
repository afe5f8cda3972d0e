import struct
from pathlib import Path

import pytest

from actors.log.disk import Disk
from actors.log.index import OffsetIndex, TimeIndex


def offset_index(path: Path) -> OffsetIndex:
    index = OffsetIndex(path)
    for relative, position in ((9, 100), (19, 200), (29, 300)):
        index.add(relative, position)
    return index


@pytest.mark.parametrize(
    ("relative", "entry"), [(0, None), (8, None), (9, (9, 100)), (18, (9, 100)), (19, (19, 200)), (99, (29, 300))]
)
def test_floor_finds_the_last_entry_at_or_below(tmp_path: Path, relative: int, entry: tuple[int, int] | None) -> None:
    """A lookup gives the nearest entry that does not lie behind what is asked for."""
    assert offset_index(tmp_path / "i").floor(relative) == entry


def test_the_files_are_kafkas(tmp_path: Path) -> None:
    """Entries lie as Kafka writes them: big-endian, 8 bytes an offset, 12 a timestamp."""
    offset_index(tmp_path / "i").save(Disk())
    assert (tmp_path / "i").read_bytes() == struct.pack(">6i", 9, 100, 19, 200, 29, 300)
    times = TimeIndex(tmp_path / "t")
    times.add(5000, 9)
    times.add(4000, 19)
    times.add(6000, 29)
    times.save(Disk())
    assert (tmp_path / "t").read_bytes() == struct.pack(">qiqi", 5000, 9, 6000, 29)


def test_saving_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Entries added after a save are appended; entries that were cut leave the file too."""
    index = offset_index(tmp_path / "i")
    index.save(Disk())
    index.add(39, 400)
    assert index.unsaved() == 1
    index.save(Disk())
    index.cut(300)
    index.save(Disk())
    loaded = OffsetIndex(tmp_path / "i")
    assert loaded.load(10_000)
    assert (len(loaded), loaded.floor(99)) == (2, (19, 200))


@pytest.mark.parametrize(
    "data",
    [b"abc", struct.pack(">4i", 9, 100, 9, 200), struct.pack(">4i", 9, 100, 19, 50), struct.pack(">2i", 9, 5000)],
)
def test_an_index_that_cannot_be_is_not_loaded(tmp_path: Path, data: bytes) -> None:
    """Odd sizes, entries that do not ascend, and positions behind the log's end are found."""
    (tmp_path / "i").write_bytes(data)
    index = OffsetIndex(tmp_path / "i")
    assert not index.load(1000)
    assert len(index) == 0


def test_a_missing_index_is_not_loaded(tmp_path: Path) -> None:
    """A missing file is something to rebuild, not an error."""
    assert not OffsetIndex(tmp_path / "i").load(1000)
    assert not TimeIndex(tmp_path / "t").load()
    assert not OffsetIndex.looks_right(tmp_path / "i", 1000)
    assert TimeIndex.last_in_file(tmp_path / "t") is None
