#!/usr/bin/env python3
"""Medians of the rows that tests/bench/run collects: a table, or JSON.

Usage: table.py table|json [--check] < rows.jsonl
--check: fail if a row is missing or cannot be true. Speed is not judged."""
import collections
import json
import os
import statistics
import sys

# Workload -> what is taken from a row: (name, column, unit).
TAKEN = {
    "W1": [("W1 p50", "p50_us", "us"), ("W1 p99", "p99_us", "us")],
    "E2E": [("E2E p50", "p50_us", "us"), ("E2E p99", "p99_us", "us")],
}
RATE = [("", "entries_per_s", "entries/s")]
SERVER_CPU = ("W2", "W4", "R1")
WORKLOADS = ("W1", "W2", "W3", "W4", "W4x8", "R1", "R1c", "E2E")


def limit_of(workload, size, mode, limits):
    """What bounds it on this machine, in its own unit; None: no probe says."""
    lazy = mode == "lazy"
    if workload == "W1 p50":
        return limits["pingpong_us"] + (0 if lazy else limits["commit_us"])
    if workload == "E2E p50":
        return limits["relay_us"] + (0 if lazy else limits["commit_us"])
    if workload == "W3":
        return min(limits["clients_per_s"], float("inf") if lazy else 16e6 / limits["commit_us"])
    if workload in ("W2", "W4", "W4x8"):
        disk = limits["write64k_mbps"] if lazy else limits["synced_mbps"]
        return min(limits["socket_mbps"], disk) * 1e6 / size
    if workload in ("R1", "R1c"):
        return limits["socket_mbps"] * 1e6 / size
    return None


def collect(lines):
    """{(system, workload, size, mode): (unit, [values])}, and {probe: [values]}."""
    values = collections.OrderedDict()
    probes = collections.OrderedDict()
    for line in lines:
        entry = json.loads(line)
        for name, value in entry.get("limits", {}).items():
            probes.setdefault(name, []).append(value)
        if "row" not in entry:
            continue
        row = entry["row"][0] if isinstance(entry["row"], list) else entry["row"]
        workload = entry["workload"]
        where = (entry["size"], entry["mode"])
        for name, column, unit in TAKEN.get(workload, RATE):
            values.setdefault((entry["system"], name or workload, *where), (unit, []))[1].append(row[column])
        if workload in SERVER_CPU and row["entries"] > 0:
            cpu = entry["ticks"] / os.sysconf("SC_CLK_TCK") * 1e6 / row["entries"]
            values.setdefault((entry["system"], workload + " server", *where), ("s/M", []))[1].append(cpu)
    return values, probes


def ratio(a, b):
    return round(a / b, 3) if b else None


def summary(values, probes):
    limits = {name: statistics.median(found) for name, found in probes.items()}
    medians = {key: statistics.median(found) for key, (_, found) in values.items()}
    rows = [dict(system="limit", workload=name.rsplit("_", 1)[0] if not name.endswith("per_s") else name, size=None,
                 mode=None, median=limits[name], min=min(found), max=max(found),
                 unit={"us": "us", "mbps": "MB/s", "s": "1/s"}[name.rsplit("_", 1)[1]],
                 ratio_to_redis=None, ratio_to_limit=None)
            for name, found in probes.items()]
    for key, (unit, found) in values.items():
        system, workload, size, mode = key
        limit = limit_of(workload, size, mode, limits)
        rows.append(dict(system=system, workload=workload, size=size, mode=mode, median=medians[key], min=min(found),
                         max=max(found), unit=unit,
                         ratio_to_redis=ratio(medians[key], medians.get(("redis", workload, size, mode), 0)),
                         ratio_to_limit=ratio(medians[key], limit)))
    return rows


def shown(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def table(rows):
    print("Limits of this machine, in this run")
    for row in rows:
        if row["system"] == "limit":
            print(f"  {row['workload']:<16}{shown(row['median']):>14} {row['unit']:<5}"
                  f"  {shown(row['min'])} .. {shown(row['max'])}")
    print("\nMedian (min .. max); a ratio is value / value: of rates more is better, of us and s/M less\n")
    print(f"{'workload':<11}{'size':>5} {'mode':<5} {'tusk':>12} {'(min .. max)':<28} {'redis':>11} {'(min .. max)':<24}"
          f" {'unit':<10}{'to redis':>9}{'to limit':>9}")
    mine = {(r["workload"], r["size"], r["mode"]): r for r in rows if r["system"] == "tusk"}
    theirs = {(r["workload"], r["size"], r["mode"]): r for r in rows if r["system"] == "redis"}
    for key in sorted(mine, key=lambda k: (k[0].endswith("server"), k[0].replace("E2E", "S"), k[1], k[2] != "lazy")):
        row, other = mine[key], theirs.get(key)
        spread = f"({shown(row['min'])} .. {shown(row['max'])})"
        redis = shown(other["median"]) if other else "-"
        redis_spread = f"({shown(other['min'])} .. {shown(other['max'])})" if other else ""
        to_redis = f"{row['ratio_to_redis']:.2f}" if row["ratio_to_redis"] is not None else ""
        to_limit = f"{row['ratio_to_limit']:.2f}" if row["ratio_to_limit"] is not None else ""
        print(f"{key[0]:<11}{key[1]:>5} {key[2]:<5} {shown(row['median']):>12} {spread:<28} {redis:>11} {redis_spread:<24}"
              f" {row['unit']:<10}{to_redis:>9}{to_limit:>9}")


def check(lines, rows):
    """What must be true of rows however slow the machine is."""
    seen = set()
    for line in lines:
        entry = json.loads(line)
        if "row" not in entry:
            continue
        row = entry["row"][0] if isinstance(entry["row"], list) else entry["row"]
        what = f"{entry['system']} {entry['mode']} {entry['workload']}"
        seen.add((entry["system"], entry["mode"], entry["workload"]))
        assert row["entries"] > 0 and row["entries_per_s"] > 0, what
        if entry["workload"] in ("R1", "R1c"):
            # Whoever creates a topic of tusk appends an empty entry first.
            filled = entry["fill"] * 100 // entry["size"] + (entry["system"] == "tusk")
            assert row["entries"] % filled == 0, f"{what}: {row['entries']} entries in passes over {filled}"
        if entry["workload"] in TAKEN:
            assert 0 < row["p50_us"] <= row["p99_us"], what
    for system in ("tusk", "redis"):
        for mode in ("lazy", "each"):
            for workload in WORKLOADS:
                assert (system, mode, workload) in seen, f"no row for {system} {mode} {workload}"
    for row in rows:
        assert 0 <= row["min"] <= row["median"] <= row["max"], row
    assert any(row["system"] == "limit" and row["workload"] == "commit" for row in rows), "no limits"


lines = sys.stdin.read().splitlines()
rows = summary(*collect(lines))
if sys.argv[1] == "json":
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
else:
    table(rows)
if "--check" in sys.argv[2:]:
    check(lines, rows)
