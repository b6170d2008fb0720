"""Who is compared with whom, how each is started, asked and checked."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import data

HERE = pathlib.Path(__file__).parent
QUERIES = ("q1", "q2", "q3", "q4", "q5", "q6")
# Asked beside these when a build is trained.
TRAINING = ("t1", "t2", "t3", "t4", "t5")
# As many connections as our own server takes by default, for everybody.
POOL = 4 * os.cpu_count()
# The server as users run it: every limit on, but wide enough for the bench's few callers, who ask more often than any
# user would. Names that this release does not know are left out.
LIMITS = {
    "TENANTRY_RATE_TENANT_POINTS": "1000000000",
    "TENANTRY_RATE_TENANT_REFILL": "1000000000",
    "TENANTRY_RATE_PRINCIPAL_POINTS": "1000000000",
    "TENANTRY_RATE_PRINCIPAL_REFILL": "1000000000",
    "TENANTRY_SIGN_IN_ADDRESS_BURST": "1000000",
    "TENANTRY_SIGN_IN_ADDRESS_PER_MINUTE": "1000000",
    "TENANTRY_TENANT_CONCURRENCY": "1000",
}
OF_TENANT = {"x-tenant-id": "{tenant}"}
WITH_KEY = {"authorization": "Bearer {credential}"}
WITH_TOKEN = {"authorization": "Bearer {credential}", "x-tenant": "{slug}"}


@dataclasses.dataclass(frozen=True)
class Contestant:
    name: str
    about: str
    kind: str = "http"
    command: tuple = ()
    api: str = "yoga"
    headers: dict = dataclasses.field(default_factory=lambda: OF_TENANT)
    environment: dict = dataclasses.field(default_factory=dict)
    queries: tuple = QUERIES[:5]

    @property
    def is_ours(self):
        return self.api == "tenantry"

    @property
    def ids(self):
        return "typeid" if self.is_ours else "uuid"


ALL = (
    Contestant("limit-pipe", "pgbench, the rows in one flight: the limit of PostgreSQL", "pgbench", queries=QUERIES),
    Contestant("limit-steps", "pgbench, the same statements one after another", "pgbench", queries=QUERIES),
    Contestant("floor", "Rust without GraphQL, JSON made by PostgreSQL", command=("floor", "json")),
    Contestant("floor-rows", "Rust without GraphQL, rows from PostgreSQL: the mark to reach", command=("floor", "rows")),
    Contestant("tenantry", "this server, access tokens", command=("tenantry", "serve"), api="tenantry", headers=WITH_TOKEN),
    Contestant("tenantry-key", "this server, an API key for each tenant", command=("tenantry", "serve"), api="tenantry", headers=WITH_KEY),
    Contestant(
        "tenantry-cold",
        "this server with an API key and every cache of credentials and rights off",
        command=("tenantry", "serve"),
        api="tenantry",
        headers=WITH_KEY,
        environment={"TENANTRY_RIGHTS_CACHE_TTL_MS": "0"},
        queries=("q6",),
    ),
    Contestant("postgraphile", "PostGraphile 5 on the same tables", command=("node", "postgraphile.mjs"), api="postgraphile"),
    Contestant("yoga", "graphql-yoga and dataloader, written by hand", command=("node", "yoga.mjs")),
)


def operation(api, query):
    """The text of an operation and the template of its variables."""
    text = (HERE / f"queries/{'training' if query in TRAINING else api}.graphql").read_text()
    found = re.search(rf"^# (.*)\n((?:query|mutation) {query.capitalize()}\b.*)$", text, re.MULTILINE)
    return found.group(2), found.group(1)


def body(contestant, query):
    text, variables = operation(contestant.api, query)
    return json.dumps({"query": text, "variables": "VARIABLES", "operationName": query.capitalize()}).replace('"VARIABLES"', variables)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running contestant on one database."""

    def __init__(self, contestant, size, database, programs, through=None):
        self.contestant, self.size, self.database = contestant, size, database
        self.folder = database.work / "inputs" / f"{contestant.name}-{size}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process, self.tokens_at, self.bytes = None, 0, {}
        if contestant.kind == "http":
            self.start(programs, through)

    def start(self, programs, through):
        program, *args = self.contestant.command
        if programs.get(program) is None:
            raise RuntimeError(f"{program} is not there")
        self.port, admin = free_port(), free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.database.url(self.size, port=through),
            "PORT": str(self.port),
            "POOL": str(POOL),
        }
        if self.contestant.is_ours:
            environment = {
                "PATH": os.environ["PATH"],
                "DATABASE_URL": environment["DATABASE_URL"],
                "TENANTRY_PLATFORM_URL": self.database.url(self.size, "tenantry_platform"),
                "TENANTRY_LISTEN": f"127.0.0.1:{self.port}",
                "TENANTRY_ADMIN_LISTEN": f"127.0.0.1:{admin}",
                **secrets_of(self.database.work, programs["tenantry"]),
                **known_limits(programs["tenantry"]),
                **self.contestant.environment,
            }
            self.ensure_passwords(programs["tenantry"], environment)
        folder = self.database.work / "servers" if program == "node" else self.database.work
        log = open(self.database.work / f"{self.contestant.name}-{self.size}.log", "w")
        self.process = subprocess.Popen([programs[program], *args], cwd=folder, env=environment, stdout=log, stderr=log)
        self.wait(log.name)

    def wait(self, log):
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"does not listen: {pathlib.Path(log).read_text()[-500:]}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ensure_passwords(self, program, environment):
        if self.database.sql("SELECT count(*) FROM user_passwords", f"bench_{self.size}") != "0":
            return
        create = [program, "user", "create", "hash@bench.test", "--name", "Hash"]
        environment = {name: value for name, value in environment.items() if not name.endswith("LISTEN")}
        subprocess.run(create, input=data.PASSWORD + "\n", env=environment, cwd=self.database.work, check=True, capture_output=True, text=True)
        self.database.set_password_of_persons(self.size, "hash@bench.test")

    # Asking

    def credentials(self):
        """A line for each; tenant t takes the line t modulo their number, counted from 0. Tokens are renewed in time."""
        path = self.folder / "credentials"
        if "{credential}" not in "".join(self.contestant.headers.values()):
            path.write_text("")
        elif self.contestant.headers is WITH_KEY:
            # Tenant `size` leaves 0, so its key comes first.
            keys = [data.api_key(self.size), *map(data.api_key, range(1, self.size))]
            path.write_text("\n".join(keys))
        elif time.monotonic() - self.tokens_at > 600 or not self.tokens_at:
            path.write_text("\n".join(self.sign_in(person) for person in range(data.PERSONS)))
            self.tokens_at = time.monotonic()
        return path.read_text().split("\n")

    def sign_in(self, person):
        query = "mutation SignIn($input: SignInInput!) { signIn(input: $input) { accessToken userErrors { message } } }"
        variables = {"input": {"email": data.owner_email(person), "password": data.PASSWORD}}
        answer, _ = self.post(json.dumps({"query": query, "variables": variables}), {})
        return answer["data"]["signIn"]["accessToken"]

    def post(self, text, headers):
        headers = {"content-type": "application/json", "accept": "application/json", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", text.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                raw = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{error.code}: {error.read()[:300]!r}") from error
        found = json.loads(raw)
        if found.get("errors"):
            raise RuntimeError(f"answers with errors: {str(found['errors'])[:300]}")
        return found, len(raw)

    def ask(self, query, tenant, cursor=None):
        place = data.place(query, tenant)
        kinds = {"tenant": 0, **place}
        values = {kind: self.id(tenant, kind, number) for kind, number in kinds.items()}
        credentials = self.credentials()
        values |= {"slug": f"tenant-{tenant}", "credential": credentials[tenant % len(credentials)], "cursor": cursor or ""}
        fill = lambda text: re.sub(r"\{(\w+)\}", lambda found: values.get(found.group(1), found.group(0)), text)
        text = body(self.contestant, query)
        if query == "walk" and cursor:
            text = text.replace('"after": null', f'"after": {json.dumps(cursor)}')
        return self.post(fill(text), {name: fill(value) for name, value in self.contestant.headers.items()})

    def id(self, tenant, kind, number):
        uuid = data.uuid(tenant, kind, number)
        if self.contestant.ids == "uuid":
            return uuid
        value, text = int(uuid.replace("-", ""), 16), ""
        for _ in range(26):
            value, digit = divmod(value, 32)
            text = data.ALPHABET[digit] + text
        prefix = next(prefix for prefix, number in data.PREFIXES.items() if number == data.KINDS[kind])
        return f"{prefix}_{text}"

    # Checking

    def find_cursors(self):
        """Walks to the page before the deep one, in every tenant that has it."""
        path = self.folder / "cursors"
        if path.exists():
            path.unlink()
        lines = []
        for tenant in data.deep_tenants(self.size):
            cursor = None
            for _ in range(data.DEEP_PAGE - 1):
                answer, _ = self.ask("walk", tenant, cursor)
                cursor = answer["data"]["workspace"]["tasks"]["pageInfo"]["endCursor"]
            lines.append(f"{tenant} {cursor}")
        path.write_text("\n".join(lines))

    def cursor(self, tenant):
        lines = dict(line.split(" ", 1) for line in (self.folder / "cursors").read_text().split("\n"))
        return lines[str(tenant)]

    def verify(self, query):
        """Raises unless the answers for some tenants are the right ones; remembers how long they are."""
        if query == "q5":
            self.find_cursors()
        for tenant in data.some_tenants(query, self.size):
            answer, size = self.ask(query, tenant, self.cursor(tenant) if query == "q5" else None)
            got = data.normal(answer["data"])
            if query == "q4":
                got = got["taskCreate"]
            if found := data.difference(data.expected(query, tenant), got):
                raise RuntimeError(f"answers wrongly for tenant {tenant}: {found}")
            self.bytes[query] = size
        return answer


def secrets_of(work, program):
    path = work / "secrets"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(subprocess.run([program, "keys", "generate"], check=True, capture_output=True, text=True).stdout)
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def known_limits(program):
    known = subprocess.run([program, "serve", "--help"], check=True, capture_output=True, text=True).stdout
    flag = lambda name: "--" + name.removeprefix("TENANTRY_").lower().replace("_", "-")
    return {name: value for name, value in LIMITS.items() if flag(name) in known}


def programs(work, tenantry):
    node = work / "servers/node_modules/node/bin/node"
    floor = work / "floor/release/floor"
    has_packages = (work / "servers/node_modules/postgraphile").exists()
    return {
        "tenantry": tenantry,
        "floor": floor if floor.exists() else None,
        "node": (node if node.exists() else shutil.which("node")) if has_packages else None,
    }
