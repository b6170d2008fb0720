"""What /proc tells: processor time and memory of a process with all it started, and what machine this is."""

import collections
import os
import pathlib
import re

HZ = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """Parent, own ticks, ticks of ended children."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))


def tree(root):
    children = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := stat(name)):
            children[found[0]].append(int(name))
    pids, todo = [], [root]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        todo += children[pid]
    return pids


def cpu_seconds(root):
    """Of the process and its descendants, those that have ended included."""
    return sum(own + ended for pid in tree(root) if (found := stat(pid)) for own, ended in [found[1:]]) / HZ


def resident_mb(root):
    total = 0
    for pid in tree(root):
        try:
            found = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
        except OSError:
            continue
        total += int(found.group(1)) if found else 0
    return total / 1024


def describe():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo) or re.search(r"CPU part\s*: (.*)", cpuinfo)
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) / 1024**2
    return {"cores": os.cpu_count(), "model": model.group(1) if model else "unknown", "memory_gb": round(memory)}
