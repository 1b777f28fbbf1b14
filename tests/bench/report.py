"""Medians, spreads and ratios: as rows, and as a table."""
import collections
import pathlib
import statistics

import plan as planning

UNITS = {"us": "us", "mbps": "MB/s", "s": "1/s"}  # Of limits, by the end of their names


def file_system(directory):
    """The type of the file system that holds a directory."""
    best = ("", "?")
    for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind = line.split()[:3]
        if str(directory).startswith(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def advantage(mine, theirs, unit):
    """How many times better mine is; None where that cannot be said."""
    if not mine or not theirs:
        return None
    return round(theirs / mine if planning.lower_is_better(unit) else mine / theirs, 3)


def collect(rows):
    """({(workload, size, mode): {system: [values]}}, its units, {limit: [values]})."""
    found = collections.OrderedDict()
    units = {}
    limits = collections.OrderedDict()
    for row in rows:
        if row["system"] == "limit":
            limits.setdefault(row["workload"], []).append(row["value"])
        else:
            key = (row["workload"], row["size"], row["mode"])
            units[key] = row["unit"]
            found.setdefault(key, collections.OrderedDict()).setdefault(row["system"], []).append(row["value"])
    return found, units, limits


def row_of(system, workload, size, mode, values, unit):
    return dict(system=system, workload=workload, size=size, mode=mode, median=statistics.median(values),
                min=min(values), max=max(values), unit=unit, ratio_to_redis=None, ratio_to_best_peer=None,
                ratio_to_limit=None, best_peer=None)


def summary(rows):
    """The rows of -o json. Ratios are of medians, and tusk's; above 1 tusk is better."""
    found, units, probes = collect(rows)
    limits = {name: statistics.median(values) for name, values in probes.items()}
    result = [row_of("limit", name, None, None, values, UNITS[name.rsplit("_", 1)[1]])
              for name, values in probes.items()]
    for key, systems in found.items():
        unit = units[key]
        medians = {system: statistics.median(values) for system, values in systems.items()}
        # What only tusk can do stands beside what the others do instead.
        others = found.get((planning.BESIDE.get(key[0], key[0]), *key[1:]), {})
        peers = {system: statistics.median(values) for system, values in others.items() if system != "tusk"}
        choose = min if planning.lower_is_better(unit) else max
        for system, values in systems.items():
            row = row_of(system, *key, values, unit)
            if system == "tusk":
                row["ratio_to_redis"] = advantage(medians[system], peers.get("redis"), unit)
                row["ratio_to_limit"] = advantage(medians[system], planning.limit_of(*key, limits), unit)
                if peers:
                    row["best_peer"] = choose(peers, key=peers.get)
                    row["ratio_to_best_peer"] = advantage(medians[system], peers[row["best_peer"]], unit)
            result.append(row)
    return result


def shown(value):
    if value >= 999500:
        return f"{value / 1e6:.1f}M" if value < 99.5e6 else f"{value / 1e6:.0f}M"
    if value >= 9995:
        return f"{value / 1e3:.0f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def cell(row):
    """A median, and half of the range between the extremes, in hundredths of the median."""
    if row is None:
        return "-"
    spread = (row["max"] - row["min"]) / 2 / row["median"] * 100 if row["median"] else 0
    return f"{shown(row['median'])} ±{spread:.0f}%"


def columns_of(rows):
    keys = collections.OrderedDict()
    for row in rows:
        if row["system"] != "limit":
            key = (row["workload"], row["size"], row["mode"])
            keys.setdefault(key, {})[row["system"]] = row
    return keys


def table(rows, measured, failures):
    print("Limits of this machine, in this run: median ± half the range")
    for row in rows:
        if row["system"] == "limit":
            print(f"  {row['workload']:<16}{cell(row):>16} {row['unit']}")
    keys = columns_of(rows)
    systems = [system for system in planning.SYSTEMS if any(system in found for found in keys.values())]
    print("\nMedians ± half the range; a ratio above 1 means that tusk is better")
    print("(rocksdb and lmdb are in process: no socket, and no other process to wake)\n")
    print(f"{'workload':<20}{'size':>6} {'mode':<5}" + "".join(f"{system:>15}" for system in systems) +
          f"  {'unit':<12}{'/redis':>8}{'/best peer':>20}{'/limit':>8}")
    for key, found in keys.items():
        mine = found.get("tusk")
        line = f"{key[0]:<20}{key[1]:>6} {key[2]:<5}" + "".join(f"{cell(found.get(s)):>15}" for s in systems)
        line += f"  {next(iter(found.values()))['unit']:<12}"
        if mine:
            best = f"{ratio(mine['ratio_to_best_peer'])} {mine['best_peer']}" if mine["best_peer"] else "-"
            line += f"{ratio(mine['ratio_to_redis']):>8}{best:>20}{ratio(mine['ratio_to_limit']):>8}"
        print(line)
    foreign = [row["foreign"] for row in measured if row.get("foreign") is not None]
    if foreign:
        print(f"\nProcessors that others used meanwhile, the kernel's threads among them: median "
              f"{statistics.median(foreign):.2f}, at most {max(foreign):.2f}")
    for failure in failures:
        print(f"FAILED: {failure}")


def ratio(value):
    return f"{value:.2f}" if value is not None else "-"


# ---- for the README ----

LABELS = {
    "W1_p50": "one append in flight, p50 us",
    "W1_p99": "one append in flight, p99 us",
    "W2": "single entries, 1,000 in flight, /s",
    "W3": "16 connections, one in flight each, /s",
    "W4x100": "batches of 100, entries/s",
    "W4x1000": "batches of 1,000, entries/s",
    "W4x1000_8": "batches of 1,000, 8 in flight, entries/s",
    "R1": "drain a topic, entries/s",
    "R1m": "drain a topic by mapped files, entries/s",
    "R1c": "drain with persisted offset, entries/s",
    "R2": "entry after entry, each checkpointed, /s",
    "R2_pipelined": "the same, 1,000 checkpoints in flight, /s",
    "E2E_p50": "append to waiting reader at 10,000/s, p50 us",
    "E2E_p99": "append to waiting reader at 10,000/s, p99 us",
    "topics_1000": "single entries to 1,000 topics in turn, /s",
    "topics_10000": "single entries to 10,000 topics in turn, /s",
    "W2_server_cpu": "server CPU s per 1M single entries",
    "R1_server_cpu": "server CPU s per 1M entries drained",
    "recovery": "kill -9 to the first entry read, s",
    "rss": "resident memory of the server, MB",
}


def markdown(rows):
    """tusk beside Redis at 100 B, a line a workload; bold where tusk is not better."""
    keys = columns_of(rows)
    print("| | tusk, 200 ms | Redis, everysec | ratio | tusk, each | Redis, always | ratio |")
    print("|---|---|---|---|---|---|---|")
    for workload, label in LABELS.items():
        cells = []
        for mode in planning.MODES:
            beside = planning.BESIDE.get(workload, workload)
            found = {**keys.get((beside, 100, mode), {}), **keys.get((workload, 100, mode), {})}
            if "tusk" not in found or "redis" not in found:
                cells += [""] * 3
                continue
            value = found["tusk"]["ratio_to_redis"]
            text = f"{value:.2f}" if value < 10 else f"{value:.0f}"
            cells += [shown(found["tusk"]["median"]), shown(found["redis"]["median"]),
                      text if value >= 1 else f"**{text}**"]
        if any(cells):
            print(f"| {label} | " + " | ".join(cells) + " |")
