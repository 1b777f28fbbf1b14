"""One run: rounds, systems in turn, sessions on new stores, rows."""
import json
import os
import pathlib
import subprocess
import sys
import time

import plan as planning
from servers import Failed, Server

LOAD_SECONDS = 600  # A workload that is not done by then has failed; a hundred thousand topics take long to make
FILL_SECONDS = 120
TICK = os.sysconf("SC_CLK_TCK")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def busy_seconds():
    """Processor time of everybody, but for waiting and interrupts."""
    user, nice, system = pathlib.Path("/proc/stat").read_text().split(None, 4)[1:4]
    return (int(user) + int(nice) + int(system)) / TICK


class Run:
    def __init__(self, plan, build, directory, save=None):
        self.plan = plan
        self.save = save  # A file that is kept up to date, so that an interrupted run is not lost
        self.programs = pathlib.Path(build) / "tests/bench"
        self.build = build
        self.directory = pathlib.Path(directory)
        self.rows = []
        self.failures = []
        self.round = 0

    # ---- rows ----

    def add(self, server, workload, size, value, unit, foreign=None):
        self.rows.append(dict(round=self.round, system=server.name, mode=server.mode, workload=workload, size=size,
                              value=value, unit=unit, foreign=foreign))

    def load(self, server, kind, topic, size=100, seconds=None, count=0, since_ns=0, batch=1, window=1, clients=1,
             topics=1):
        """Run a generator; returns its line, with what others used of the processors meanwhile."""
        command = [self.programs / f"bench_{server.name}", "-s", server.address, "-k", topic, "-z", size, "-d",
                   self.plan.seconds if seconds is None else seconds, "-n", count, "-b", batch, "-w", window, "-c",
                   clients, "-t", topics, "-r", self.plan.rate, "-m", server.mode, "-p", server.pid, "-a", since_ns,
                   kind]
        begin, busy = time.monotonic(), busy_seconds()
        try:
            done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, timeout=LOAD_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{kind} {topic} took more than {LOAD_SECONDS} s") from None
        if done.returncode != 0:
            raise Failed(f"{kind} {topic}: {done.stderr.strip()} {server.last_words()}")
        row = json.loads(done.stdout)
        others = busy_seconds() - busy - row["client_cpu_s"] - row["server_cpu_s"]
        row["foreign"] = max(0.0, others) / max(time.monotonic() - begin, 0.001)
        return row

    def measure(self, server, workload, size, topic):
        in_process = planning.SYSTEMS[server.name][0]
        if (server.mode not in workload.modes or in_process and not workload.in_process
                or workload.only not in ("", server.name)):
            return
        count = 0
        if workload.kind == "append":
            # A guest that gives free memory back to its host pays for each page it uses again.
            count = max(self.plan.bytes // size, workload.batch)
            subprocess.run([self.programs / "bench_limits", "touch", str(self.plan.bytes * 2 >> 20)], check=True)
        row = self.load(server, workload.kind, topic, size=size, count=count, batch=workload.batch,
                        window=workload.window, clients=workload.clients, topics=workload.topics)
        if row["entries"] == 0:
            raise Failed(f"{workload.name}: nothing was done")
        for suffix, column, unit in workload.columns:
            self.add(server, workload.name + suffix, size, row[column], unit, row["foreign"])
        if workload.cpu:
            sides = ("client",) if in_process else ("server", "client")
            for side in sides:
                # In process there is one side, which is compared with the server's.
                name = "server" if in_process else side
                self.add(server, f"{workload.name}_{name}_cpu", size, row[f"{side}_cpu_s"] * 1e6 / row["entries"],
                         "s/M entries", row["foreign"])

    # ---- sessions, each on a store of its own ----

    def fill(self, server, topic, size, entries, batch=100, window=16):
        self.load(server, "append", topic, size=size, seconds=FILL_SECONDS, count=entries, batch=batch,
                  window=window)

    def warm_up(self, server):
        self.load(server, "append", "warm", seconds=self.plan.warm_seconds, count=800000, batch=100, window=16)
        self.load(server, "latency", "warm", seconds=self.plan.warm_seconds / 5)

    def readable(self, server, size):
        """How many entries are filled in for a read: as many bytes in every size, and from beanstalkd, whose
        pace is a tenth of the others', a tenth."""
        return max(self.plan.fill * 100 // size // (10 if server.name == "beanstalkd" else 1), 100)

    def session_size(self, server, size):
        self.warm_up(server)
        for workload in planning.APPENDS:
            self.measure(server, workload, size, workload.name)
        entries = self.readable(server, size)
        for i, workload in enumerate(planning.READS):
            if i == 0 or server.name == "beanstalkd":  # What it has read is gone
                self.fill(server, "R", size, entries)
            self.measure(server, workload, size, "R")

    def session_scaling(self, server, size):
        self.warm_up(server)
        if server.mode == "each":
            self.fill(server, "R2", size, self.readable(server, size))
        for workload in planning.NEXTS:
            self.measure(server, workload, size, "R2")
        self.measure(server, planning.E2E, size, "E2E")
        for count in self.plan.connections:
            self.measure(server, planning.connections(count), size, f"c{count}")
        for count in self.plan.topics:
            self.measure(server, planning.topics(count), size, f"t{count}")

    def session_kept(self, server, size, batch):
        """What entries cost when they are there, and how long a killed server takes to give the first."""
        kept = self.plan.kept
        self.fill(server, "kept", size, kept, batch=batch, window=16 if batch > 1 else planning.IN_FLIGHT)
        time.sleep(self.plan.settle_seconds)
        self.add(server, f"disk_{batch}", size, server.disk_bytes() / kept, "bytes/entry")
        if batch == 1:
            return
        if server.process:
            self.add(server, "rss", size, server.rss_mb(), "MB")
        server.kill()
        since = time.monotonic_ns()
        server.start()
        row = self.load(server, "first", "kept", since_ns=since)
        self.add(server, "recovery", size, row["seconds"], "s")

    def session(self, system, mode, what, *args):
        server = Server(system, mode, self.directory / system, self.build)
        try:
            server.start()
            server.wait()
            what(server, *args)
        except Failed as failure:
            self.failures.append(f"{system} {mode}: {failure}")
            say(f"FAILED: {self.failures[-1]}")
        finally:
            server.remove()
        self.keep()

    def result(self):
        return {"rows": self.rows, "failures": self.failures, "systems": self.plan.systems}

    def keep(self):
        if self.save:
            pathlib.Path(self.save).write_text(json.dumps(self.result()), encoding="utf-8")

    def limits(self):
        done = subprocess.run([self.programs / "bench_limits", self.directory, str(self.plan.seconds)],
                              stdout=subprocess.PIPE, text=True, timeout=LOAD_SECONDS, check=True)
        for name, value in json.loads(done.stdout).items():
            self.rows.append(dict(round=self.round, system="limit", workload=name, value=value))

    def run(self):
        for self.round in range(1, self.plan.rounds + 1):
            say(f"round {self.round} of {self.plan.rounds}")
            self.limits()
            # Who goes first changes, so that none always follows the same other.
            turn = (self.round - 1) % len(self.plan.systems)
            order = self.plan.systems[turn:] + self.plan.systems[:turn]
            sessions = [(self.session_size, size) for size in self.plan.sizes]
            for mode in planning.MODES:
                for what in sessions + [(self.session_scaling, 100)]:
                    self.turn(order, mode, *what)
            for batch in (100, 1):
                self.turn(order, "lazy", self.session_kept, 100, batch)

    def turn(self, order, mode, what, *args):
        for system in order:
            in_process, modes = planning.SYSTEMS[system]
            skipped = what == self.session_scaling and in_process and mode == "lazy"
            if mode in modes and not skipped and (system, mode) not in self.plan.left_out:
                self.session(system, mode, what, *args)
