"""The bench: see `docs/performance.md` for what it shows, `bin/bench --help` for what it can do."""

import argparse
import collections
import datetime
import json
import os
import pathlib
import signal
import statistics
import sys
import time

import contestants
import data
import machine
import measure
import report
from database import Database

GROWTH = ("limit-pipe", "floor-rows", "tenantry", "tenantry-cold")


def options():
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measures this server beside others; writes docs/performance.md.")
    parser.add_argument("--quick", action="store_true", help="a first look: 1 round of 2 seconds, 1,000 tenants; writes no document")
    parser.add_argument("--large", action="store_true", help="also with 100,000 tenants; needs about 35 GB and a quarter of an hour to fill")
    parser.add_argument("--tenants", metavar="N,…", help="numbers of tenants, the first for the table, the others for the growth")
    parser.add_argument("--only", metavar="NAME,…", help="only these contestants: " + ", ".join(one.name for one in contestants.ALL))
    parser.add_argument("--queries", metavar="Q,…", default=",".join(contestants.QUERIES), help="only these requests, q1 to q6")
    parser.add_argument("--conns", metavar="N,…", default="16,64", help="numbers of connections (16,64)")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3)")
    parser.add_argument("--seconds", type=int, help="how long each time (5)")
    parser.add_argument("--soak", type=int, metavar="MINUTES", default=0, help="afterwards load this server for so long and watch its memory")
    parser.add_argument("--verify-only", action="store_true", help="check the answers, measure nothing")
    parser.add_argument("--fresh", action="store_true", help="make and fill the databases anew")
    parser.add_argument("--write", action="store_true", help="write the document whatever was left out")
    parser.add_argument("--train", action="store_true", help="load this server alone with requests of many kinds, for bin/release; writes nothing")
    parser.add_argument("--report", action="store_true", help="print the last results again; with --write also into the document")
    parser.add_argument("--work", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tenantry", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.is_whole = not (chosen.quick or chosen.only or chosen.verify_only) and chosen.queries == parser.get_default("queries")
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (2 if chosen.quick else 5)
    if chosen.train:
        chosen.only = ",".join(one.name for one in contestants.ALL if one.is_ours)
    sizes = chosen.tenants or ("1000" if chosen.quick or chosen.train else "1000,10000,100000" if chosen.large else "1000,10000")
    chosen.sizes = [int(size) for size in sizes.split(",")]
    chosen.conns = [int(count) for count in chosen.conns.split(",")]
    chosen.queries = chosen.queries.split(",")
    names = {one.name for one in contestants.ALL}
    if chosen.only and (unknown := set(chosen.only.split(",")) - names):
        parser.error(f"there is no contestant {', '.join(sorted(unknown))}; they are {', '.join(sorted(names))}")
    if unknown := set(chosen.queries) - set(contestants.QUERIES):
        parser.error(f"there is no query {', '.join(sorted(unknown))}")
    return chosen


def enter(chosen, database, programs, results, running):
    """Starts whoever takes part on each database, and lets in those whose answers are right."""
    for size in chosen.sizes:
        for contestant in contestants.ALL:
            queries = [query for query in contestant.queries if query in chosen.queries]
            is_wanted = not chosen.only or contestant.name in chosen.only.split(",")
            if not queries or not is_wanted or (size != chosen.sizes[0] and contestant.name not in GROWTH):
                continue
            server = None
            try:
                if size == chosen.sizes[0] and not chosen.train:
                    results["talk"][contestant.name] = measure.talk(contestant, size, database, programs, queries)
                server = contestants.Server(contestant, size, database, programs)
                if server.process:
                    server.ask("q6" if contestant.is_ours else "q1", 1)
                    if size == chosen.sizes[0] and not chosen.train:
                        # What signing in has taken is given back within ten seconds.
                        time.sleep(15)
                        results["at_rest"][contestant.name] = machine.resident_mb(server.process.pid)
                    for query in queries:
                        server.verify(query)
            except Exception as error:  # whatever one contestant does wrong, the others go on
                print(f"    {contestant.name}, {size:,} tenants: left out: {error}", flush=True)
                if server:
                    server.stop()
                continue
            print(f"    {contestant.name}, {size:,} tenants: {', '.join(queries)}", flush=True)
            running.append((server, queries))


def train(running):
    """Requests of every kind for some seconds each, for a build that is watched."""
    for server, queries in running:
        server.bytes |= dict.fromkeys(contestants.TRAINING, 0)
        for query in [*queries, *(contestants.TRAINING if len(queries) > 1 else ())]:
            if measure.run(server, query, 16, 3, 1)["errors"]:
                raise SystemExit(f"{server.contestant.name} answers {query} with errors")


def measure_all(chosen, running, results):
    """All in turn, again and again, so that the noise of the machine meets everybody alike. Each asks for tenants of its
    own, so that nobody finds in memory what another has just read."""
    cells = collections.defaultdict(list)
    for round in range(chosen.rounds + 1):
        warming = round == 0
        if warming:
            for server, queries in running:
                if server.contestant.is_ours and "q1" in queries:
                    measure.visit(server)
        for query in chosen.queries:
            for connections in chosen.conns[:1] if warming else chosen.conns:
                for turn, (server, queries) in enumerate(running):
                    is_growth = server.size != chosen.sizes[0]
                    if query not in queries or (is_growth and connections != chosen.conns[0]):
                        continue
                    seconds = 1 if warming else chosen.seconds
                    try:
                        result = measure.run(server, query, connections, seconds, 100_000 * turn + 1000 * round + connections)
                    except Exception as error:
                        print(f"    {server.contestant.name} {query} {connections}: {error}", flush=True)
                        continue
                    if not warming:
                        cells[server.contestant.name, server.size, query, connections].append(result)
        print(f"    round {round} of {chosen.rounds}" if round else "    warm", flush=True)
    names = ("contestant", "tenants", "query", "connections")
    results["cells"] = [{**dict(zip(names, key)), "runs": runs} for key, runs in cells.items()]


def soak(chosen, running, results):
    """Resident memory once a second while q1 to q4 come in turn from 64 connections."""
    servers = [server for server, _ in running if server.contestant.name == "tenantry" and server.size == chosen.sizes[0]]
    if not servers:
        return
    server, minutes, samples = servers[0], chosen.soak, []
    end = time.monotonic() + 60 * minutes
    turn = 0
    while time.monotonic() < end:
        query = contestants.QUERIES[turn % 4]
        if query not in server.bytes:
            server.verify(query)
        samples.append(measure.run(server, query, 64, 5, turn)["resident_mb"])
        turn += 1
        if turn % 12 == 0:
            print(f"    {statistics.median(samples[-12:]):.0f} MB after {turn // 12} min", flush=True)
    # By minutes; a turn takes five seconds.
    results["soak"] = [statistics.median(samples[at : at + 12]) for at in range(0, len(samples), 12)]


def main():
    chosen = options()
    path = chosen.work / "result.json"
    if not chosen.report:
        # Being told to end is an exception, so that nobody is left running.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        results = collections.defaultdict(dict)
        results |= {"when": datetime.date.today().isoformat(), "machine": machine.describe(), "sizes": chosen.sizes}
        results |= {"seconds": chosen.seconds, "rounds": chosen.rounds, "quick": chosen.quick, "pool": contestants.POOL}
        database, running = Database(chosen.work, chosen.tenantry), []
        try:
            database.start()
            for size in chosen.sizes:
                database.prepare(size, chosen.fresh)
            print("==> checking answers", flush=True)
            enter(chosen, database, contestants.programs(chosen.work, chosen.tenantry), results, running)
            if chosen.verify_only:
                return
            if chosen.train:
                print("==> training", flush=True)
                return train(running)
            print("==> measuring", flush=True)
            measure_all(chosen, running, results)
            if chosen.soak:
                print(f"==> soaking for {chosen.soak} minutes", flush=True)
                soak(chosen, running, results)
        finally:
            for server, _ in running:
                server.stop()
            database.stop()
        path.write_text(json.dumps(results))
    if not path.exists():
        raise SystemExit("There are no results yet: run bin/bench first.")
    text = report.text(json.loads(path.read_text()))
    print(text)
    if chosen.write or (chosen.is_whole and not chosen.report):
        report.write(text)


if __name__ == "__main__":
    main()
