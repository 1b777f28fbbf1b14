#!/usr/bin/env python3
"""What is built on metrics names metrics that there are.

  monitoring.py SOURCE

Every metric that the alert rules, the dashboard, the status page and the operator's guide name is in server/metrics.def, with
the suffix that its kind has, and with labels that it has. The dashboard is JSON, its panels have numbers of their own, and the
page takes nothing from outside."""
import json
import pathlib
import re
import sys

NAME = re.compile(r"\btusk_[a-z_]+\b")
# "name{label=..., ...}" and "by (label, ...)": labels that are asked for.
SELECTOR = re.compile(r"\b(tusk_[a-z_]+)\{([^}]*)\}")
ROW = re.compile(r'^METRIC\("(\w+)", (\w+), (\w+), \w+, "\w+", "(?:(\w+)=)?', re.MULTILINE)
LABELS = {"DAEMON": [], "REPLIES": ["type", "status"], "CLASSES": ["class"], "SPACES": ["namespace"], "SPACE": ["namespace"],
          "TOPIC": ["namespace", "topic"], "CURSOR": ["namespace", "topic", "cursor"]}
ADDED = {"instance", "job", "le"}  # By Prometheus, and of buckets
problems = []


def problem(path, text):
    problems.append(f"{path.name}: {text}")


def series_of(source):
    """{name as it is told: its labels}"""
    series = {}
    for name, kind, scope, label in ROW.findall((source / "server/metrics.def").read_text(encoding="utf-8")):
        labels = set(LABELS[scope]) | ({label} if label else set())
        for suffix in ("_bucket", "_sum", "_count") if kind == "HISTOGRAM" else ("",):
            series[name + suffix] = labels
    return series


def check_names(path, series, base=False):
    """base: the name of a histogram may stand alone, where suffixes are added."""
    text = path.read_text(encoding="utf-8")
    names = set(NAME.findall(text))
    for name in sorted(names):
        if name not in series and not (base and name + "_count" in series):
            problem(path, f"there is no metric {name}")
    return len(names)


def check_labels(path, series, text):
    for name, selector in SELECTOR.findall(text):
        for label in re.findall(r'(\w+)\s*[=!]~?', selector):
            if label not in series.get(name, set()) | ADDED:
                problem(path, f"{name} has no label {label}")
    known = ADDED.union(*series.values())
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", text):
        for label in re.findall(r"\w+", labels):
            if label not in known:
                problem(path, f"nothing has the label {label}")


def check_dashboard(path, series):
    board = json.loads(path.read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    if len(ids) != len(set(ids)):
        problem(path, "two panels have one number")
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    check_labels(path, series, "\n".join(expressions))
    return len(expressions)


def check_page(path):
    text = path.read_text(encoding="utf-8")
    for outside in re.findall(r"""(?:https?:)?//[\w.]+\.\w+|\b(?:src|action)\s*=|@import|url\(|innerHTML|document\.write|\beval\(""", text):
        problem(path, f"{outside}: it is one file, and says nothing that is not text")
    for target in re.findall(r'href="([^"]*)"', text):
        if target not in ("/metrics", "/healthz", "/readyz"):
            problem(path, f"{target} is not served")


def main():
    source = pathlib.Path(sys.argv[1])
    series = series_of(source)
    monitoring = source / "server/monitoring"
    rules, board, page = monitoring / "tusk.rules.yml", monitoring / "tusk.dashboard.json", source / "server/status.html"
    names = sum(check_names(path, series) for path in (rules, board))
    names += check_names(page, series, base=True) + check_names(source / "server/OPERATIONS.md", series, base=True)
    check_labels(rules, series, rules.read_text(encoding="utf-8"))
    expressions = check_dashboard(board, series)
    check_page(page)
    for text in problems:
        print(text)
    print(f"{len(series)} series, {names} names, {expressions} expressions, {len(problems)} problems")
    return 1 if problems or names < 60 or expressions < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
