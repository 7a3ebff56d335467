"""A PostgreSQL cluster of its own on this machine, which tests start, stop and start again."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tracking_server import free_port


def program(name: str) -> str | None:
    """A program of PostgreSQL; Debian keeps it outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


class Cluster:
    """A database server; it refuses to run as root, so that it then runs as nobody."""

    def __init__(self, folder: Path) -> None:
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._data, self.port = folder / "data", free_port()
        self._run("initdb", "-A", "trust", "-U", "runner", "-E", "UTF8", "--locale=C", "-N", "-D", str(self._data))
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self._data.parent} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(self._data.parent / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """As a crash: connections are cut."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def database(self, name: str) -> str:
        """Makes a fresh database. Returns its address."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "runner", name)
        return f"postgresql+psycopg://runner@127.0.0.1:{self.port}/{name}"

    def _run(self, name: str, *arguments: str) -> None:
        command = [program(name) or name, *arguments]
        user = pwd.getpwnam(self._user).pw_uid if self._user else None
        subprocess.run(command, check=True, cwd="/", user=user, stdout=subprocess.DEVNULL, timeout=60)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that runs during the block. Skips the test if PostgreSQL or its driver is not installed."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed: pip install 'psycopg[binary]'")
    if program("initdb") is None or program("pg_ctl") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory() as folder:
        found = Cluster(Path(folder))
        try:
            yield found
        finally:
            found.stop()
