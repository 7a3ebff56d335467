"""Files for tests of data: small images, and the same files on disk and in a .zip."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encoded(array: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """An image file of these pixels."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def png(value: int, side: int = 4) -> bytes:
    """A square PNG of one grey."""
    return encoded(np.full((side, side), value, np.uint8))


def on_disk(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Writes the files below a folder; a name that ends in a slash is an empty folder."""
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def zipped(folder: Path, files: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Writes the files into a .zip in a folder."""
    with zipfile.ZipFile(folder / "files.zip", "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return folder / "files.zip"


STORES = {"disk": lambda folder, files: on_disk(folder / "files", files), "zip": zipped}
"""The places that files may be read from, by name."""
