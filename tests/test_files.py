from pathlib import Path

import pytest

from ptacl import files


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    files.write(path, b"old")
    with pytest.raises(RuntimeError, match="killed"), files.whole(path) as partial:
        partial.write_bytes(b"ne")
        raise RuntimeError("killed")
    assert path.read_bytes() == b"old"
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_of_the_same_content_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    assert files.write_if_other(path, b"a")
    before = path.stat().st_mtime_ns
    assert not files.write_if_other(path, b"a")
    assert path.stat().st_mtime_ns == before
    assert files.write_if_other(path, b"b")
    assert path.read_bytes() == b"b"
