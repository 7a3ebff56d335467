"""Archives of .tar for tests."""

import io
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

Files = Sequence[tuple[str, bytes | str]]


def tar(path: Path, files: Files, *, form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            content = content if isinstance(content, bytes) else content.encode()
            entry.size, entry.mtime = len(content), time.time()  # a fraction, for which pax needs a header of its own
            archive.addfile(entry, io.BytesIO(content))
    return path
