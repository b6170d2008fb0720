"""Tables out of the results: goals, the comparison, growth, memory; as text and into the document."""

import pathlib
import statistics

import contestants

DOCUMENT = pathlib.Path(__file__).parent.parent / "docs/performance.md"
BEGIN, END = "<!-- generated: bench -->", "<!-- end: bench -->"
OURS = "tenantry"

# What was asked for, at the first number of connections and tenants.
CPU = {"q1": 1.8, "q2": 1.8, "q3": 1.8, "q4": 1.5}
THROUGHPUT = {"q1": 5, "q2": 5, "q3": 5, "q4": 2}
SHARE = {"q1": 35, "q2": 45, "q3": 55, "q4": 50}
AT_REST_MB, UNDER_LOAD_MB, SOAK, GROWTH, DEEP = 60, 120, 1.05, 1.10, 1.2


class Results:
    def __init__(self, raw):
        self.raw = raw
        self.sizes = raw["sizes"]
        self.cells = {(c["contestant"], c["tenants"], c["query"], c["connections"]): c["runs"] for c in raw["cells"]}
        self.connections = list(dict.fromkeys(c["connections"] for c in raw["cells"]))

    def median(self, name, query, field, size=None, connections=None):
        runs = self.cells.get((name, size or self.sizes[0], query, connections or self.connections[0]), [])
        found = [sum(run.get(one, 0) for one in field.split("+")) for run in runs]
        return statistics.median(found) if found else None

    def cpu(self, name, query, size=None, connections=None):
        return self.median(name, query, "server_us+postgres_us", size, connections)


def ratio(one, other):
    return one / other if one and other else None


def row(cells):
    return "| " + " | ".join(cells) + " |"


def number(value, digits=0, unit=""):
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def goal(what, value, unit, is_met):
    if value is None:
        return row([what, "not measured", ""])
    return row([what, number(value, 0 if unit in (" %", " MB") else 2, unit), "yes" if is_met else "**no**"])


def goals(results):
    lines = [row(["goal", "measured", "met"]), row(["---"] * 3)]
    for query, most in CPU.items():
        found = ratio(results.cpu(OURS, query), results.cpu("floor-rows", query))
        lines.append(goal(f"{query}: processor time at most {most} × floor-rows", found, " ×", found and found <= most))
    for query, least in THROUGHPUT.items():
        others = [results.median(name, query, "rps") for name in ("postgraphile", "yoga")]
        best = max((rps for rps in others if rps), default=None)
        found = ratio(results.median(OURS, query, "rps"), best)
        lines.append(goal(f"{query}: throughput at least {least} × the better of PostGraphile and yoga", found, " ×", found and found >= least))
    for query, least in SHARE.items():
        found = ratio(results.median(OURS, query, "rps"), results.median("limit-pipe", query, "rps"))
        found = found and 100 * found
        lines.append(goal(f"{query}: at least {least} % of the throughput of limit-pipe", found, " %", found and found >= least))
    for before, after in zip(results.sizes, results.sizes[1:]):
        for query in CPU:
            ours = ratio(results.cpu(OURS, query, after), results.cpu(OURS, query, before))
            limit = ratio(results.cpu("limit-pipe", query, after), results.cpu("limit-pipe", query, before))
            found = ratio(ours, limit)
            what = f"{query}: from {before:,} to {after:,} tenants, growth of processor time at most {GROWTH:.2f} × that of limit-pipe"
            lines.append(goal(what, found, " ×", found and found <= GROWTH))
    deep = ratio(results.cpu(OURS, "q5"), results.cpu(OURS, "q2"))
    lines.append(goal(f"q5: processor time at most {DEEP} × q2", deep, " ×", deep and deep <= DEEP))
    rest = results.raw["at_rest"].get(OURS)
    lines.append(goal(f"memory at rest under {AT_REST_MB} MB", rest, " MB", rest and rest < AT_REST_MB))
    load = under_load(results, OURS, 64)
    lines.append(goal(f"memory at 64 connections under {UNDER_LOAD_MB} MB", load, " MB", load and load < UNDER_LOAD_MB))
    minutes = results.raw.get("soak") or []
    growth = ratio(minutes[-1], minutes[1]) if len(minutes) > 2 else None
    what = f"memory flat under load: the last minute of the soak at most {SOAK:.2f} × the second"
    lines.append(goal(what, growth, " ×", growth and growth <= SOAK))
    return lines


def under_load(results, name, connections):
    size = results.sizes[0]
    cells = [runs for (who, tenants, _, count), runs in results.cells.items() if (who, tenants, count) == (name, size, connections)]
    found = [run["resident_mb"] for runs in cells for run in runs if "resident_mb" in run]
    return max(found, default=None)


def comparison(results):
    titles = ["query", "connections", "contestant", "req/s", "of limit", "p50 ms", "p99 ms", "server µs", "PostgreSQL µs", "sum µs", "× floor-rows", "statements", "round trips"]
    lines = [row(titles), row(["---"] * 3 + ["---:"] * (len(titles) - 3))]
    for query in contestants.QUERIES:
        for count in results.connections:
            at = {"connections": count}
            limit, floor = results.median("limit-pipe", query, "rps", **at), results.cpu("floor-rows", query, **at)
            for contestant in contestants.ALL:
                name = contestant.name
                rps, cpu = results.median(name, query, "rps", **at), results.cpu(name, query, **at)
                if rps is None:
                    continue
                talk = results.raw["talk"].get(name, {}).get(query, {})
                share, times = ratio(rps, limit), ratio(cpu, floor)
                errors = sum(run["errors"] for run in results.cells[name, results.sizes[0], query, count])
                lines.append(row([
                    query,
                    str(count),
                    f"**{name}**" if name == OURS else name,
                    number(rps) + (f" ({errors} errors)" if errors else ""),
                    number(share and 100 * share, 0, " %"),
                    number(results.median(name, query, "p50", **at) / 1000, 2),
                    number(results.median(name, query, "p99", **at) / 1000, 2),
                    number(results.median(name, query, "server_us", **at)) if contestant.kind == "http" else "–",
                    number(results.median(name, query, "postgres_us", **at)),
                    number(cpu),
                    number(times, 2),
                    number(talk.get("statements"), 1),
                    number(talk.get("round_trips"), 1),
                ]))
    return lines


def growth(results):
    names = [name for name in ("limit-pipe", "floor-rows", OURS, "tenantry-cold") if any(key[0] == name for key in results.cells)]
    lines = [row(["query", "contestant", *(f"{size:,} tenants, µs" for size in results.sizes)]), row(["---"] * 2 + ["---:"] * len(results.sizes))]
    for query in contestants.QUERIES:
        for name in names:
            found = [results.cpu(name, query, size) for size in results.sizes]
            if any(found):
                lines.append(row([query, name, *(number(value) for value in found)]))
    return lines


def memory(results):
    lines = [row(["contestant", "at rest, MB", *(f"at {count} connections, MB" for count in results.connections)])]
    lines.append(row(["---"] + ["---:"] * (1 + len(results.connections))))
    for name, rest in results.raw["at_rest"].items():
        lines.append(row([name, number(rest), *(number(under_load(results, name, count)) for count in results.connections)]))
    return lines


def text(raw):
    results = Results(raw)
    here = raw["machine"]
    head = (
        f"Measured on {raw['when']} on {here['cores']} cores ({here['model']}), {here['memory_gb']} GB: {results.sizes[0]:,} tenants, "
        f"{raw['seconds']} s each, median of {raw['rounds']}, pools of {raw['pool']} connections."
    )
    if raw["quick"]:
        head += " A quick look: the ratios of processor time can be used, throughput and latency can not."
    parts = [head, "### Goals", goals(results), "### Side by side", comparison(results)]
    if len(results.sizes) > 1:
        parts += ["### More tenants", f"Processor time for each request, server and PostgreSQL, at {results.connections[0]} connections.", growth(results)]
    parts += ["### Memory", memory(results)]
    if raw.get("soak"):
        parts.append("Minute by minute under load: " + ", ".join(f"{mb:.0f}" for mb in raw["soak"]) + " MB.")
    return "\n\n".join(part if isinstance(part, str) else "\n".join(part) for part in parts)


def write(generated):
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}")
    print(f"\nWritten to {DOCUMENT.relative_to(DOCUMENT.parent.parent)}.")
