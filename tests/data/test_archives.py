"""Archives and files that are hostile or unlucky: odd names, sizes that lie, work without an end."""

import gzip
import hashlib
import io
import os
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from configurations import experiment
from hypothesis import given
from hypothesis import strategies as st
from stores import png

from runner import limits
from runner.data import Dataset, Folder, ImageSize, Text, load
from runner.data.files import FolderTree, ZipTree
from runner.data.idx import read_idx
from runner.errors import DataError, Fault
from runner.inspecting import read as inspected

Members = list[tuple[str, bytes]]


def members(prefix: str = "", slash: str = "/") -> Members:
    return [(f"{prefix}{name}{slash}{index}.png", png(index)) for name in ("cat", "dog") for index in range(6)]


def zipped(path: Path, content: Members, *, system: int = 3) -> Path:
    with zipfile.ZipFile(path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.compress_type = system, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path / "a.zip"


def read(root: Path) -> Dataset:
    return load(Folder(source="folder", root=str(root)))


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    lines = [line for line in str(caught.value).splitlines() if not line.startswith("data.on_bad_file: ")]
    assert len({line.partition(": ")[2] for line in lines}) == 1  # one fault, in one file or several
    return lines[0].replace(str(root), "ROOT")


# Names


@pytest.mark.parametrize(
    ("content", "system"),
    [
        (members("/"), 3),
        (members("//deep/./"), 3),
        (members("./"), 3),
        ([*members(), ("/dog/z.png", png(9))], 3),
        (members("photos\\", "\\"), 0),
    ],
)
def test_members_have_the_paths_that_unzip_gives_them(tmp_path: Path, content: Members, system: int) -> None:
    dataset = read(zipped(tmp_path, content, system=system))
    assert dataset.classes == ("cat", "dog")
    assert sum(len(part) for part in (dataset.train, dataset.val, dataset.test)) == len(content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("more", "line"),
    [
        ([("cat/../../x.png", b"")], "ROOT, entry cat/../../x.png: must lie below the folder that it is unpacked to, "),
        ([("cat/0.png", png(9))], "ROOT/cat/0.png: must be in the .zip once, got two entries of this name"),
        ([("/cat//0.png", png(9))], "ROOT/cat/0.png: must be in the .zip once, got two entries of this name"),
        ([("cat/0.png/x.png", png(9))], "ROOT/cat/0.png: must be a file or a folder of the .zip, got both"),
        ([("bird\x1b/0.png", png(9))], "data (folder): must name its classes in UTF-8, on one line, without control"),
    ],
)
def test_odd_members_are_refused(tmp_path: Path, more: Members, line: str) -> None:
    assert refusal(zipped(tmp_path, members() + more)).startswith(line)


_NAME = st.text(st.sampled_from("ab./\\\0\n\x1bé\udcff0"), max_size=12)


@given(names=st.lists(_NAME, max_size=4))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_member_names_give_data_or_errors_of_one_line_each(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    try:
        path = zipped(tmp_path_factory.mktemp("zip"), members() + [(name, png(1)) for name in names])
    except UnicodeEncodeError:
        return  # no .zip can hold a stray byte as a name
    faults: tuple[Fault, ...] = ()
    try:
        dataset = read(path)
    except DataError as error:
        told, faults = str(error), error.faults
    else:
        assert {"cat", "dog"} <= set(dataset.classes)
        told = ", ".join(dataset.classes)
    assert len(told.splitlines()) == (len(faults) or 1)
    told.encode()


def test_circular_links_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "a"
    for name, content in members():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "cat" / "round").symlink_to(root)
    assert refusal(root).startswith("ROOT/cat/round: must not point to a folder that contains it, got a link to ")


def test_a_link_to_other_images_is_followed(tmp_path: Path) -> None:
    for name, content in members("elsewhere/"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "a").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "a" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert read(tmp_path / "a").classes == ("cat", "dog")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "a" / name).mkdir(parents=True)
        os.mkfifo(tmp_path / "a" / name / "0.png")
    assert refusal(tmp_path / "a") == "ROOT/cat/0.png: must be a regular file, got a folder, a device or a pipe"


# Sizes


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes came of each decompression of a member."""
    sizes: list[int] = []
    begin = zlib.decompressobj

    class Counted:
        def __init__(self, *arguments: int) -> None:
            self.own = begin(*arguments)

        def decompress(self, content: bytes, *most: int) -> bytes:
            plain = self.own.decompress(content, *most)
            sizes.append(len(plain))
            return plain

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    return sizes


def test_a_member_that_states_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inflated: list[int]
) -> None:
    monkeypatch.setattr(limits, "IMAGE_FILE_BYTES", 10_000)
    root = zipped(tmp_path, [*members(), ("cat/0a.png", bytes(10_001))])
    assert refusal(root) == "ROOT/cat/0a.png: must have at most 10,000 bytes, got 10,001"
    assert sum(inflated) < 10_000


def test_a_wrong_size_in_the_directory_is_detected_before_all_is_unpacked(tmp_path: Path, inflated: list[int]) -> None:
    root = zipped(tmp_path, [*members(), ("cat/0a.png", bytes(5_000_000))])
    stated = (5_000_000).to_bytes(4, "little")
    root.write_bytes(root.read_bytes().replace(stated, (99).to_bytes(4, "little")))
    assert refusal(root) == "ROOT/cat/0a.png: must have 99 bytes, as the .zip's directory says, got more"
    assert max(inflated) <= max(100, *(len(content) for _, content in members()))


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    root = zipped(tmp_path, [(f"{name}/{index}.png", os.urandom(5000)) for name in "ab" for index in range(3)])
    content = bytearray(root.read_bytes())
    for place in [at for at in range(len(content)) if content[at : at + 4] == b"PK\x01\x02"]:
        content[place + 20 : place + 24] = (20_000).to_bytes(4, "little")
    root.write_bytes(content)
    assert refusal(root) == "ROOT: must hold entries that do not overlap, got entries of more bytes than the .zip has"


def test_a_large_file_of_a_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "0.png").open("wb") as file:
        file.truncate(10**13)  # sparse: no byte of it on the disk
    monkeypatch.setattr(Path, "read_bytes", pytest.fail)
    with pytest.raises(DataError, match=r"/0\.png: must have at most 1,073,741,824 bytes, got 10,000,000,000,000$"):
        FolderTree(tmp_path / "a").read("0.png", max_bytes=limits.IMAGE_FILE_BYTES)


def test_a_single_table_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(b"text,label\n" + b"x" * 990)
    monkeypatch.setattr(limits, "TABLE_BYTES", 1000)
    monkeypatch.setattr(Path, "read_bytes", None)  # the size is known without reading
    with pytest.raises(DataError, match=r"/texts\.csv: must have at most 1,000 bytes, got 1,001$"):
        load(Text(source="text", root=str(path)))


@pytest.mark.parametrize(("name", "limit"), [("a/0.txt", "TEXT_FILE_BYTES"), ("train.csv", "TABLE_BYTES")])
def test_texts_have_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str) -> None:
    monkeypatch.setattr(limits, limit, 1000)
    root = zipped(tmp_path, [(name, b"a" * 1001), ("b/0.txt", b"b")] if "/" in name else [(name, b"a" * 1001)])
    with pytest.raises(DataError, match=rf"/{name}: must have at most 1,000 bytes, got 1,001$"):
        load(Text(source="text", root=str(root)))


def claimed(width: int, height: int) -> bytes:
    """A PNG of one pixel whose header claims more."""
    whole = bytearray(png(1, side=1))
    whole[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    return bytes(whole)


@pytest.mark.parametrize(
    ("side", "got"), [(11_586, "11,586 × 11,586"), (13_000, "13,000 × 13,000"), (100_000, "far more")]
)
def test_an_image_of_very_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, got: str
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", pytest.fail)
    root = zipped(tmp_path, [(f"{name}/0.png", claimed(side, side)) for name in "ab"])
    data = Folder(source="folder", root=str(root), image=ImageSize(height=2, width=2, channels=1))
    with pytest.raises(DataError, match=rf"/a/0\.png: must have at most 134,217,728 pixels, got {got}$"):
        data.read(print).train.inputs[np.arange(2)]


def tar(path: Path, *sizes: int, headers: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
        for index, size in enumerate(sizes):
            member = tarfile.TarInfo(f"{index}.bin")
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    return path


def unpacked_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every read of a gzipped file from now on."""
    taken: list[int] = []
    take = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        content = take(self, size)
        taken.append(len(content))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    return taken


@pytest.mark.parametrize("sizes", [(200_000,), (60_000, 60_000)])
def test_a_tar_is_unpacked_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]) -> None:
    monkeypatch.setattr(limits, "TAR_BYTES", 100_000)
    path = tar(tmp_path / "a.tar.gz", *sizes)
    taken = unpacked_bytes(monkeypatch)
    with pytest.raises(DataError, match=f"^{path}: must unpack to at most 100,000 bytes, got more$"):
        load(experiment("data=cifar10", f"data.root={path}").data)
    assert sum(taken) == 100_001


def test_a_tar_with_a_huge_sparse_member_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("0.bin")
    member.size = 10**10
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf() + bytes(2048)))
    with pytest.raises(DataError, match=f"^{path}: must unpack to at most 1,073,741,824 bytes, got more$"):
        load(experiment("data=cifar10", f"data.root={path}").data)


@pytest.mark.parametrize("suffix", ["xz", "bz2"])
def test_a_tar_with_broken_compression_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.tar.{suffix}"
    with tarfile.open(path, f"w:{suffix}") as archive:  # type: ignore[call-overload]
        archive.addfile(tarfile.TarInfo("0.bin"))
    whole = path.read_bytes()
    path.write_bytes(whole[:20] + bytes(8) + whole[28:])
    with pytest.raises(DataError, match=r"must be a whole \.tar\.gz archive, got a broken one"):
        load(experiment("data=cifar10", f"data.root={path}").data)


@pytest.mark.parametrize(
    ("shape", "content", "rule"),
    [
        ((2**31, 2**31, 1), b"", r"hold at most 4,294,967,296 bytes, got 4,611,686,018,427,387,904"),
        ((2, 2, 2), bytes(10_000_000), r"hold 24 bytes, as its header says, got more"),
    ],
)
def test_an_idx_file_is_unpacked_as_far_as_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], content: bytes, rule: str
) -> None:
    path = tmp_path / "images.gz"
    header = bytes((0, 0, 8, 3)) + np.array(shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + content))
    taken = unpacked_bytes(monkeypatch)
    with pytest.raises(DataError, match=f"^{path}: must {rule}$"):
        read_idx(path, axes=3)
    assert sum(taken) <= 25


def test_data_are_described_with_one_listing_of_the_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, plain = list[object](), zipfile.ZipFile
    root = zipped(tmp_path, members())
    monkeypatch.setattr(zipfile, "ZipFile", lambda file: opened.append(file) or plain(file))
    found = inspected(Folder(source="folder", root=str(root)))
    assert found.kinds is not None
    assert found.kinds.formats == {"PNG": 12}
    assert opened == [root]


def test_contents_of_members_are_read_once_for_all_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, read = zipped(tmp_path, members()), list[int]()
    plain = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, start: read.append(start) or plain(file, size, start))
    for paths, others in ((["cat/0.png"], 1), (["dog/1.png", "cat/0.png", "dog/1.png"], 1), (["cat/0.png"], 0)):
        del read[:]
        expected = [hashlib.sha256(dict(members())[path]).digest() for path in paths]
        assert ZipTree(root).contents(paths) == expected
        assert len(read) == 2 * others, "the local header, and the content"
    changed = [(name, png(99) if name == "cat/0.png" else content) for name, content in members()]
    assert ZipTree(zipped(tmp_path, changed)).contents(["cat/0.png"]) == [hashlib.sha256(png(99)).digest()]


def test_digests_of_members_depend_on_the_zip(tmp_path: Path) -> None:
    first = ZipTree(zipped(tmp_path, members())).digests(["cat/0.png", "dog/0.png"])
    assert len(set(first)) == 2
    assert ZipTree(zipped(tmp_path, [*members(), ("x", b"")])).digests(["cat/0.png"])[0] not in first
