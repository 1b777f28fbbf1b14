"""Plots of the rows, by gnuplot, as SVG."""
import shutil
import subprocess
import sys

import plan as planning

# Of systems, so that one has the same in every plot.
COLORS = {"tusk": "#c0392b", "redis": "#2c6fbb", "nats": "#2e8b57", "beanstalkd": "#8e6bbf", "rocksdb": "#8a8a8a",
          "lmdb": "#c8a03c"}
HEAD = """set terminal svg size 960,460 font "sans-serif,13" background "white"
set output "{path}"
set title "{title}"
set ylabel "{label}"
set key outside right top
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
"""


def quoted(path):
    return str(path).replace('"', "")


def bars(path, title, label, groups, values, systems):
    """A group of bars for each of groups; values: {(group, system): value}. Logarithmic."""
    lines = ["$data << EOD"]
    for group in groups:
        lines.append(f'"{group}" ' + " ".join(str(values.get((group, system), "NaN")) for system in systems))
    lines.append("EOD")
    text = HEAD.format(path=quoted(path), title=title, label=label) + "\n".join(lines) + """
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set logscale y
set format y "%.0s%c"
set xtics noenhanced rotate by 20 right
set bmargin 5
set rmargin 20
plot """
    return text + ", ".join(f'$data using {i + 2}:xtic(1) title "{system}" lc rgb "{COLORS[system]}"'
                            for i, system in enumerate(systems)) + "\n"


def curves(path, title, label, along, series):
    """Lines along a logarithmic x; series: {(system, mode): [(x, y)]}. Lazy is drawn through, each dashed."""
    text = HEAD.format(path=quoted(path), title=title, label=label)
    text += f'set xlabel "{along}"\nset logscale xy\nset format y "%.0s%c"\nset format x "%.0s%c"\n'
    drawn = []
    for i, ((system, mode), points) in enumerate(series.items()):
        text += f"$d{i} << EOD\n" + "\n".join(f"{x} {y}" for x, y in sorted(points)) + "\nEOD\n"
        drawn.append(f'$d{i} using 1:2 with linespoints pt 7 ps 0.5 lw 2 dt {1 if mode == "lazy" else 2} '
                     f'lc rgb "{COLORS[system]}" title "{system}, {mode}"')
    return text + "plot " + ", ".join(drawn) + "\n"


class Drawing:
    def __init__(self, rows, folder):
        self.rows = [row for row in rows if row["system"] != "limit"]
        self.folder = folder
        self.systems = [system for system in planning.SYSTEMS if any(row["system"] == system for row in self.rows)]
        self.drawn = []

    def gnuplot(self, name, text):
        subprocess.run(["gnuplot"], input=text, text=True, check=True, stdout=sys.stderr)
        self.drawn.append(name)

    def bars(self, name, title, label, workloads, mode):
        """workloads: {name of the group: workload}, at 100 B."""
        values = {}
        for group, workload in workloads.items():
            for row in self.rows:
                if (row["workload"], row["size"], row["mode"]) == (workload, 100, mode) and row["median"] > 0:
                    values[group, row["system"]] = row["median"]
        systems = [system for system in self.systems if any(key[1] == system for key in values)]
        groups = [group for group in workloads if any(key[0] == group for key in values)]
        if groups:
            self.gnuplot(name, bars(self.folder / name, title, label, groups, values, systems))

    def curves(self, name, title, label, along, point):
        """point(row): (x, y), or None for a row that does not belong."""
        series = {}
        for row in self.rows:
            if row["median"] > 0 and point(row) is not None:
                series.setdefault((row["system"], row["mode"]), []).append(point(row))
        if any(len(points) > 1 for points in series.values()):
            self.gnuplot(name, curves(self.folder / name, title, label, along, series))


def numbered(prefix):
    def point(row):
        if not row["workload"].startswith(prefix):
            return None
        return int(row["workload"].rsplit("_", 1)[1]), row["median"]
    return point


def by_size(row):
    return (row["size"], row["median"] * row["size"] / 1e6) if row["workload"] == "W4x1000" else None


def draw(rows, folder):
    if not shutil.which("gnuplot"):
        print("bench: SKIPPED: plots: gnuplot is not installed", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    drawing = Drawing(rows, folder)
    rates = {"W2 pipelined": "W2", "W3 16 clients": "W3", "W4 of 100": "W4x100", "W4 of 1000": "W4x1000",
             "8 in flight": "W4x1000_8", "R1 drain": "R1", "R1c persisted": "R1c"}
    times = {"W1 p50": "W1_p50", "W1 p99": "W1_p99", "E2E p50": "E2E_p50", "E2E p99": "E2E_p99"}
    for mode, words in (("lazy", "acknowledged when written"), ("each", "acknowledged when durable")):
        drawing.bars(f"throughput-{mode}.svg", f"Entries of 100 B a second, {words}", "entries/s", rates, mode)
        drawing.bars(f"latency-{mode}.svg", f"Latency, {words}: less is better", "microseconds", times, mode)
    drawing.bars("cpu.svg", "Processor seconds of the server for a million entries: less is better", "seconds",
                 {"W2 pipelined": "W2_server_cpu", "W4 of 1000": "W4x1000_server_cpu", "R1 drain": "R1_server_cpu"},
                 "lazy")
    drawing.bars("kept.svg", "A store of many entries of 100 B: less is better", "see the group",
                 {"recovery, s": "recovery", "disk, bytes/entry": "disk_100", "memory, MB": "rss"}, "lazy")
    drawing.curves("topics.svg", "Single entries to many topics in turn, 1,000 in flight", "entries/s", "topics",
                   numbered("topics_"))
    drawing.curves("connections.svg", "Many connections, one append in flight on each", "entries/s", "connections",
                   numbered("connections_"))
    drawing.curves("sizes.svg", "Batches of 1,000, one in flight", "MB/s", "bytes of an entry", by_size)
    print(f"bench: plots in {folder}: {' '.join(drawing.drawn)}", file=sys.stderr)
