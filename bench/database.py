"""A PostgreSQL of the bench's own: durable settings, one database for each number of tenants."""

import hashlib
import os
import pathlib
import pwd
import re
import secrets
import subprocess

import data

HERE = pathlib.Path(__file__).parent
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{work}/socket'
port = {port}
max_connections = 300
shared_buffers = {shared}MB
effective_cache_size = {cache}MB
work_mem = 8MB
maintenance_work_mem = 512MB
max_wal_size = 4GB
checkpoint_timeout = 15min
random_page_cost = 1.1
max_parallel_workers_per_gather = 0
jit = off
# Commits last: the same for all contestants.
fsync = on
synchronous_commit = on
full_page_writes = on
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track_utility = off
"""


class Database:
    def __init__(self, work, tenantry):
        self.work, self.tenantry = work, tenantry
        self.programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.port = int(os.environ.get("BENCH_PORT", "55440"))
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name

    def run(self, program, *args, **more):
        identity = {"user": self.user, "group": self.user, "extra_groups": []} if os.getuid() == 0 else {}
        more = {"check": True, "capture_output": True, "text": True, "cwd": self.work, **identity, **more}
        try:
            return subprocess.run([self.programs / program, *map(str, args)], **more)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{program} failed: {(error.stderr or '')[-2000:]}\n{self.log()}")

    def log(self):
        path = self.work / "postgres.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def start(self):
        home, socket = self.work / "postgres", self.work / "socket"
        self.work.mkdir(parents=True, exist_ok=True)
        for folder in (home, socket):
            folder.mkdir(exist_ok=True, mode=0o700)
        (self.work / "postgres.log").touch()
        if os.getuid() == 0:
            for path in (home, socket, self.work / "postgres.log"):
                os.chown(path, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        secret = self.work / "password"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_hex(16))
        self.password = secret.read_text()
        if not (home / "PG_VERSION").exists():
            self.run("initdb", "-D", home, "-U", self.user, "--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
            shared, cache = min(2048, memory // 6), memory // 3
            with open(home / "postgresql.conf", "a") as file:
                file.write(SETTINGS.format(work=self.work, port=self.port, shared=shared, cache=cache))
        # Left over from a bench that was killed: it may have waited for nothing.
        self.run("pg_ctl", "-D", home, "-m", "immediate", "stop", check=False)
        # No pipe: the server would keep it open.
        self.run("pg_ctl", "-D", home, "-l", self.work / "postgres.log", "-w", "-o", f"-p {self.port}", "start", capture_output=False, stdout=subprocess.DEVNULL)
        self.pid = int((home / "postmaster.pid").read_text().split()[0])

    def stop(self):
        self.run("pg_ctl", "-D", self.work / "postgres", "-m", "fast", "stop", check=False)

    def sql(self, text, database="postgres", **more):
        done = self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.work / "socket", "-p", self.port, "-d", database, "-c", text, **more)
        return done.stdout.strip()

    def url(self, size, login="tenantry_app", port=None):
        return f"postgres://{login}:{self.password}@127.0.0.1:{port or self.port}/bench_{size}"

    def prepare(self, size, fresh=False):
        """The database with so many tenants: made by our migrations and filled, unless it is there."""
        name = f"bench_{size}"
        made_of = hashlib.sha256(b"".join(path.read_bytes() for path in self.sources())).hexdigest()[:16]
        is_there = f"SELECT 1 FROM pg_database WHERE datname = '{name}' AND shobj_description(oid, 'pg_database') = '{made_of}'"
        if not fresh and self.sql(is_there) == "1":
            return
        print(f"==> making the database with {size:,} tenants", flush=True)
        self.sql(f"DROP DATABASE IF EXISTS {name}")
        self.sql(f"CREATE DATABASE {name}")
        self.sql("CREATE EXTENSION pg_stat_statements", name)
        # The first step makes the logins; it needs the superuser once, whom only the socket lets in.
        roles = subprocess.run([self.tenantry, "migrate", "roles"], check=True, capture_output=True, text=True).stdout
        self.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", self.work / "socket", "-p", self.port, "-d", name, input=roles)
        for login in ("tenantry_migrate", "tenantry_app", "tenantry_platform"):
            self.sql(f"ALTER ROLE {login} PASSWORD '{self.password}'")
        environment = {"PATH": os.environ["PATH"], "TENANTRY_MIGRATE_URL": self.url(size, "tenantry_migrate")}
        subprocess.run([self.tenantry, "migrate", "up"], check=True, stdout=subprocess.DEVNULL, env=environment, cwd=self.work)
        keys = ((t, data.api_key(t)) for t in range(1, size + 1))
        lines = "".join(f"{t}\t\\\\x{hashlib.sha256(key.encode()).hexdigest()}\t{key[-4:]}\n" for t, key in keys)
        seed = self.work / "seed.sql"
        seed.write_bytes((HERE / "seed.sql").read_bytes())
        seed.chmod(0o644)
        self.run("psql", "-Xq", "-h", self.work / "socket", "-p", self.port, "-d", name, "-f", seed, input=lines)
        self.sql(f"COMMENT ON DATABASE {name} IS '{made_of}'")
        print(f"    {self.sql(f'SELECT pg_size_pretty(pg_database_size({name!r}))')}", flush=True)

    @staticmethod
    def sources():
        return [*sorted(HERE.parent.glob("migrations/*/*.sql")), HERE / "seed.sql", HERE / "data.py"]

    def set_password_of_persons(self, size, hash_of):
        """Everybody who signs in has the password of the person with this address."""
        self.sql(
            "INSERT INTO user_passwords (user_id, hash, changed_at) SELECT bench.id(0, 2, p), w.hash, now() "
            "FROM generate_series(0, 49) p, user_passwords w JOIN user_emails e ON e.user_id = w.user_id "
            f"WHERE e.email = '{hash_of}' ON CONFLICT (user_id) DO NOTHING",
            f"bench_{size}",
        )

    def statements(self, size):
        """SQL statements that this database has seen, without transaction control."""
        control = r"^\s*(begin|start transaction|commit|rollback|set |savepoint|release|discard|select set_config)"
        found = self.sql(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid "
            f"WHERE d.datname = 'bench_{size}' AND r.rolname = 'tenantry_app' AND query !~* '{control}'",
            f"bench_{size}",
        )
        return int(re.sub(r"\D", "", found))
