"""What stands in the way of a file or a folder, in words: whoever writes hands these on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.errors import OutputError
from toolkit.system.files import check_writable, make_folder, write_bytes


@pytest.mark.parametrize("write", [check_writable, lambda path: write_bytes(path, b"")])
def test_a_folder_is_no_file(write: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder, not a file") as caught:
        write(tmp_path)
    assert caught.value.path == tmp_path


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="it is a file, not a folder") as caught:
        make_folder(tmp_path / "file")
    assert caught.value.path == tmp_path / "file"
