"""A PostgreSQL of one's own on a socket in a temporary folder, which may be stopped and started again."""

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


def find_programs() -> Path | None:
    """Folder of `initdb` and `pg_ctl`; None where no PostgreSQL server is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found += [Path(which)] if (which := shutil.which("initdb")) else []
    return found[-1].resolve().parent if found else None


class PostgresServer:
    """A server that runs from `start` to `remove`."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="jspg-"))  # short: sockets allow about 100 bytes
        # The server refuses to run as root; the package made a user for it.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-U", "tester", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.url = f"postgresql+psycopg://tester@/{{name}}?host={self.folder}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses= -c max_connections=200 -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop at once, as a power cut would."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop for good and leave nothing."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, template: str | None = None) -> str:
        """Make a database, empty or as a copy of another one; return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        copied = f" TEMPLATE {make_url(template).database}" if template else ""
        self.ask(f"CREATE DATABASE {name}{copied}")
        return self.url.format(name=name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected."""
        self.ask(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def terminate(self, url: str) -> None:
        """End every connection to a database."""
        self.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{make_url(url).database}' AND pid <> pg_backend_pid()"
        )

    def ask(self, statement: str) -> None:
        """Run one statement as the administrator."""
        admin = create_engine(self.url.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(statement))
        admin.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), "-D", str(self.folder / "data"), *arguments],
            check=True,
            user=self._user,
            capture_output=True,
            cwd=self.folder,
        )
