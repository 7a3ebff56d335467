"""Files are written whole, whoever writes them at the same time."""

import subprocess
import sys
from pathlib import Path

from runner import atomic

_WRITER = """
import sys
from pathlib import Path
from runner import atomic
letter, path = sys.argv[1].encode(), Path(sys.argv[2])
for count in range(1, 200):
    atomic.write(path, letter * (5_000 * count), b"\\n")
"""


def test_a_reader_sees_whole_contents_while_two_processes_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, b"first\n")
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, letter, str(path)]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_bytes()
        assert content.endswith(b"\n")
        assert len(set(content[:-1])) == 1 or content == b"first\n"
        seen.add(content[:1])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert {b"a", b"b"} <= seen
    assert [left.name for left in tmp_path.iterdir()] == ["file"]
