"""The entries of .tar files, held against tarfile and GNU tar; whatever is damaged is one line."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import on_disk
from tars import tar

from runner.data.tar_entries import entries
from runner.errors import DataError

NAMES = [
    "1.jpg",
    "a/b/2.png",
    f"{'x' * 90}/{'y' * 90}.jpg",
    "z" * 200 + ".cls",
    "é.png",
    f"{'ö/' * 150}1.json",
    "s p.txt",
]


def listed(path: Path) -> list[tuple[str, int, int]]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return [(entry.name, entry.offset, entry.size) for entry in entries(descriptor, "ROOT")]
    finally:
        os.close(descriptor)


def by_tarfile(path: Path) -> list[tuple[str, int, int]]:
    with tarfile.open(path, "r:") as archive:
        return [(entry.name, entry.offset_data, entry.size) for entry in archive if entry.isreg()]


@pytest.mark.parametrize(
    "form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["ustar", "gnu", "pax"]
)
def test_the_listing_is_that_of_tarfile(tmp_path: Path, form: int) -> None:
    names = [name for name in NAMES if form != tarfile.USTAR_FORMAT or len(name) < 190]
    path = tar(tmp_path / "a.tar", [(name, bytes(100 * index)) for index, name in enumerate(names)], form=form)
    assert listed(path) == by_tarfile(path)
    assert len(listed(path)) == len(names) > 4


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("form", ["ustar", "gnu", "oldgnu", "pax", "v7"])
def test_the_listing_is_that_of_tar(tmp_path: Path, form: str) -> None:
    names = [name for name in NAMES if form not in ("ustar", "v7") or len(name) < 95]
    on_disk(tmp_path / "files", {name: name * 300 for name in names})
    subprocess.run(["tar", "-cf", "a.tar", f"--format={form}", "-C", "files", "."], cwd=tmp_path, check=True)
    found = {name: (offset, size) for name, offset, size in listed(tmp_path / "a.tar")}
    assert found == {name: (offset, size) for name, offset, size in by_tarfile(tmp_path / "a.tar")}
    content = (tmp_path / "a.tar").read_bytes()
    told = subprocess.run(["tar", "-tf", "a.tar"], cwd=tmp_path, check=True, capture_output=True).stdout
    assert len([line for line in told.splitlines() if not line.endswith(b"/")]) == len(found)
    for name in names:
        offset, size = found[f"./{name}"]
        assert content[offset : offset + size].decode() == name * 300


_NAME = st.text(st.sampled_from("ab./1é_~"), min_size=1, max_size=12)


@settings(max_examples=20)
@given(
    names=st.lists(st.tuples(_NAME, st.integers(0, 1500)), max_size=5, unique_by=lambda pair: pair[0]),
    form=st.sampled_from([0, 1, 2]),
)
def test_any_names_and_sizes_are_listed_as_tarfile_lists_them(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, int]], form: int
) -> None:
    path = tar(tmp_path_factory.mktemp("any") / "a.tar", [(name, bytes(size)) for name, size in names], form=form)
    # tarfile takes the final slash of a name away, and the entry then for a file.
    assert listed(path) == [entry for entry, (name, _) in zip(by_tarfile(path), names, strict=True) if name[-1] != "/"]


@settings(max_examples=60)
@given(place=st.floats(0, 1), byte=st.integers(1, 255), cut=st.booleans())
def test_damage_is_an_error_of_one_line_or_only_in_the_contents(
    tmp_path_factory: pytest.TempPathFactory, place: float, byte: int, cut: bool
) -> None:
    path = tar(tmp_path_factory.mktemp("damage") / "a.tar", [("d/1.png", bytes(range(200))), (f"{'x' * 120}.cls", "1")])
    whole, content = listed(path), bytearray(path.read_bytes())
    at = int(place * (len(content) - 1))
    if cut:
        del content[at:]
    else:
        content[at] ^= byte
    path.write_bytes(content)
    found, told = whole, "ROOT: must "
    try:
        found = listed(path)
    except DataError as error:
        told = str(error)
    assert (len(told.splitlines()), told[:11]) == (1, "ROOT: must ")
    # Of the pax header only the length is protected, not what it says; the rest has checksums.
    assert [entry[1:] for entry in found] == [entry[1:] for entry in whole]
