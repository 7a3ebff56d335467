"""Downloads from a server of the test's own: checked, cached, from the next mirror, and plain about what is missing."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from runner.data.download import Published, cache_folder, fetched
from runner.errors import DataError

CONTENT = b"images" * 1000


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder that a server on this machine publishes, the server's address, and an empty cache."""
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "published"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def wanted(content=CONTENT, file="images.gz"):
    return Published(file=file, checksum=f"md5:{hashlib.md5(content).hexdigest()}")


def fetch(*files, mirrors, root=None, report=lambda line: None):
    return fetched(files, root=root, mirrors=mirrors, folder="set", report=report)


def test_a_file_is_downloaded_once(published, tmp_path):
    folder, address = published
    (folder / "images.gz").write_bytes(CONTENT)
    told = []
    [path] = fetch(wanted(), mirrors=[address + "/"], report=told.append)
    assert path == tmp_path / "cache" / "set" / "images.gz"
    assert path.read_bytes() == CONTENT
    assert told == [f"downloading {address}/images.gz"]
    (folder / "images.gz").unlink()
    assert fetch(wanted(), mirrors=[address]) == [path]


def test_a_damaged_file_of_the_cache_is_downloaded_again(published):
    folder, address = published
    (folder / "images.gz").write_bytes(CONTENT)
    [path] = fetch(wanted(), mirrors=[address])
    for damaged in (b"", CONTENT[:-1], b"J" + CONTENT[1:]):
        path.write_bytes(damaged)
        told = []
        assert fetch(wanted(), mirrors=[address], report=told.append) == [path]
        assert path.read_bytes() == CONTENT
        assert told[0] == f"{path} has a wrong checksum (expected {wanted().checksum}) and is downloaded again"
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"^data\.root: must hold images\.gz \(download failed: "):
        fetch(wanted(), mirrors=[f"{address}/nowhere"])


def test_a_download_is_on_the_disk_before_it_is_used(published, monkeypatch):
    folder, address = published
    (folder / "images.gz").write_bytes(CONTENT)
    synced = []
    monkeypatch.setattr("runner.data.download.persist", synced.append)
    [path] = fetch(wanted(), mirrors=[address])
    assert synced == [path, path.parent]


def test_the_next_mirror_is_tried(published):
    folder, address = published
    (folder / "second").mkdir()
    (folder / "second" / "images.gz").write_bytes(CONTENT)
    [path] = fetch(wanted(), mirrors=[f"{address}/first", f"{address}/second"])
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused(published, tmp_path):
    folder, address = published
    (folder / "images.gz").write_bytes(b"something else")
    with pytest.raises(
        DataError, match=r"^data\.root: must hold images\.gz \(download failed: .*MD5 hash.*\), got null$"
    ):
        fetch(wanted(), mirrors=[address])
    assert not (tmp_path / "cache" / "set" / "images.gz").exists()


def test_missing_files_are_named_with_their_folder(published):
    folder, address = published
    (folder / "b.gz").write_bytes(CONTENT)
    root = Path("mine")
    with pytest.raises(DataError) as caught:
        fetch(wanted(file="a.gz"), wanted(file="b.gz"), mirrors=[address], root=root)
    assert str(caught.value).startswith("data.root: must hold a.gz, b.gz (download failed: 404 Client Error")
    assert "/a.gz; nor are they in " in str(caught.value)
    assert str(caught.value).endswith("set), got mine")


def test_a_missing_network_is_a_one_line_error(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DataError) as caught:
        fetch(wanted(), mirrors=["http://127.0.0.1:9"])
    assert str(caught.value) == (
        "data.root: must hold images.gz (download failed: Connection refused; "
        f"nor are they in {tmp_path / 'set'}), got null"
    )


def test_without_mirrors_nothing_is_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path))
    with pytest.raises(DataError) as caught:
        fetch(wanted(), mirrors=[])
    assert str(caught.value) == (
        "data.root: must hold images.gz (download failed: no mirror and checksum are configured; "
        f"nor are they in {tmp_path / 'set'}), got null"
    )


def test_files_of_the_user_are_not_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").write_bytes(b"unpacked")
    assert fetch(wanted(), mirrors=[], root=tmp_path) == [tmp_path / "images"]


def test_the_cache_folder_is_the_systems_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("CONVRUNNER_CACHE", raising=False)
    assert cache_folder().name == "convrunner"
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_a_terminal_shows_a_progress_bar(published, monkeypatch, capsys):
    folder, address = published
    (folder / "images.gz").write_bytes(CONTENT)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch(wanted(), mirrors=[address])
    assert "images.gz" in capsys.readouterr().err
