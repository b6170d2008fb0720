"""One run of one contestant: pgbench or wrk for some seconds, with what it took. And how often it talks to PostgreSQL."""

import json
import pathlib
import re
import select
import socket
import subprocess
import tempfile
import threading
import time

import contestants
import data
import machine

HERE = pathlib.Path(__file__).parent


def id_in_sql(kind, number, tenant=":t"):
    kind = data.KINDS[kind]
    return f"(lpad(to_hex({tenant}::int), 8, '0') || '-{kind:04x}-7000-8000-' || lpad(to_hex({number}::int), 12, '0'))::uuid"


def limit_script(query, in_one_flight):
    """The pgbench script: the lines of limit/qN.sql, with ids, in a transaction of the tenant."""
    values = {
        "tenant": id_in_sql("tenant", "0"),
        "workspace": id_in_sql("workspace", ":w"),
        "project": id_in_sql("project", ":w"),
        "member": id_in_sql("member", ":m"),
        "key": id_in_sql("key", "1"),
        "after": id_in_sql("task", str(data.task_number((data.DEEP_PAGE - 1) * data.PAGE))),
    }
    for n in "123":
        # A UUIDv7 of the time at which pgbench was started.
        values[f"new{n}"] = f"(lpad(to_hex(:ms::bigint), 12, '0') || '70008' || lpad(to_hex(:r{n}::bigint), 15, '0'))::uuid"
    lines = (HERE / f"limit/{query}.sql").read_text().splitlines()
    sets = [line for line in lines if line.startswith("\\set")]
    statements = [re.sub(r"\{(\w+)\}", lambda found: values[found.group(1)], line) for line in lines if line not in sets]
    begin = "BEGIN;" if query == "q4" else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    context = f"SELECT set_config('app.tenant_id', {values['tenant']}::text, true);"
    body = [begin, context, *statements, "COMMIT;"]
    if in_one_flight:
        body = ["\\startpipeline", *body, "\\endpipeline"]
    return "\n".join([*sets, *body]) + "\n", len(statements)


def pgbench(server, query, connections, seconds, seed):
    script, _ = limit_script(query, server.contestant.name == "limit-pipe")
    database, size = server.database, server.size
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "script").write_text(script)
        command = [database.programs / "pgbench", "-n", "-M", "prepared", "-c", connections, "-j", 1, "-T", seconds, "-f", path / "script"]
        command += ["--random-seed", seed, "-l", "--log-prefix", path / "log", "-D", f"tenants={size}"]
        command += ["-D", f"deep={len(data.deep_tenants(size))}", "-D", f"ms={int(time.time() * 1000)}", database.url(size)]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[-500:])
        latencies = sorted(int(line.split()[2]) for log in path.glob("log*") for line in open(log))
    failed = int(re.search(r"failed transactions: (\d+)", done.stdout).group(1))
    at = lambda share: latencies[int(len(latencies) * share)]
    return {"requests": len(latencies), "us": seconds * 1_000_000, "errors": failed, "p50": at(0.5), "p99": at(0.99)}


def wrk(server, query, connections, seconds, seed, *after):
    server.credentials()
    (server.folder / "body").write_text(contestants.body(server.contestant, query))
    (server.folder / "headers").write_text("".join(f"{name}: {value}\n" for name, value in server.contestant.headers.items()))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s", "-s", HERE / "load.lua"]
    command += [f"http://127.0.0.1:{server.port}/graphql", "--", server.folder, server.size, query, server.contestant.ids, seed, *after]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    found = re.search(r"RESULT (\{.*\})", done.stdout)
    if not found:
        raise RuntimeError(done.stdout[-300:] + done.stderr[-300:])
    result = json.loads(found.group(1))
    # An error of GraphQL comes with the status 200: the answers must be as long as the verified one, headers included.
    if result["bytes"] < 0.95 * server.bytes[query] * result["requests"]:
        result["errors"] += result["requests"]
    return result


def visit(server):
    """Every tenant once: a server that has run for a while knows those that are in use."""
    seen = 0
    while seen < server.size:
        seen += wrk(server, "q1", 16, 5, 1, seen)["requests"]


def run(server, query, connections, seconds, seed):
    """One measurement: microseconds of processor time for each request, of the server and of PostgreSQL."""
    postgres, own = server.database.pid, server.process.pid if server.process else None
    before = machine.cpu_seconds(postgres), machine.cpu_seconds(own) if own else 0
    load = wrk if server.contestant.kind == "http" else pgbench
    result = load(server, query, connections, seconds, seed)
    count = max(1, result["requests"])
    result["rps"] = result["requests"] / result["us"] * 1_000_000
    result["postgres_us"] = (machine.cpu_seconds(postgres) - before[0]) / count * 1_000_000
    result["server_us"] = (machine.cpu_seconds(own) - before[1]) / count * 1_000_000 if own else 0
    if own:
        result["resident_mb"] = machine.resident_mb(own)
    return result


class Wire:
    """Stands between a server and PostgreSQL and counts how often the server speaks after PostgreSQL has answered."""

    def __init__(self, port):
        self.target, self.round_trips = ("127.0.0.1", port), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        server = socket.create_connection(self.target)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answered = True
        with client, server:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    try:
                        found = end.recv(1 << 20)
                        if not found:
                            return
                        (server if end is client else client).sendall(found)
                    except OSError:
                        return
                    if end is client and answered:
                        self.round_trips += 1
                    answered = end is server

    def close(self):
        self.listener.close()


def talk(contestant, size, database, programs, queries):
    """Statements and round trips of one request for each query: one caller, statements prepared, caches warm."""
    if contestant.kind == "pgbench":
        counts = {query: limit_script(query, False)[1] for query in queries}
        in_one = contestant.name == "limit-pipe"
        return {query: {"statements": count, "round_trips": 1 if in_one else count + 3} for query, count in counts.items()}
    wire = Wire(database.port)
    server = contestants.Server(contestant, size, database, programs, through=wire.port)
    found = {}
    try:
        for query in queries:
            cursor = None
            tenant = data.some_tenants(query, size)[0]
            if query == "q5":
                server.find_cursors()
                cursor = server.cursor(tenant)
            # Every connection of the pool has to see the statements first.
            for _ in range(6 * contestants.POOL):
                answer, _ = server.ask(query, tenant, cursor)
            time.sleep(0.3)  # what is written after the answer
            statements, round_trips = database.statements(size), wire.round_trips
            for _ in range(20):
                answer, _ = server.ask(query, tenant, cursor)
            time.sleep(0.3)
            found[query] = {
                "statements": (database.statements(size) - statements) / 20,
                "round_trips": (wire.round_trips - round_trips) / 20,
            }
            cost = answer.get("extensions", {}).get("cost", {})
            if "sqlFlights" in cost:
                found[query]["flights"] = cost["sqlFlights"]
    finally:
        server.stop()
        wire.close()
    return found
