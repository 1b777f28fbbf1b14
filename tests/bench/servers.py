"""Starting and stopping what is compared."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

START_SECONDS = 60
STOP_SECONDS = 20


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server on a directory: start(), kill() or stop(), start() again. A store in process has none
    of it: its address is the directory."""

    def __init__(self, name, mode, directory, build):
        self.name = name
        self.mode = mode
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.build = pathlib.Path(build)
        self.log = self.directory / "log"
        self.process = None
        self.data.mkdir(parents=True)
        self.data.chmod(0o700)  # tuskd insists
        self.address = str(self.directory / "s")
        if name in ("rocksdb", "lmdb"):
            self.address = str(self.data)
        elif name == "nats":
            self.port = free_port()
            self.address = f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid if self.process else 0

    def command(self):
        lazy = self.mode == "lazy"
        if self.name == "tusk":
            return [self.build / "server/tuskd", "--data-dir", self.data, "--socket", self.address, "--fsync",
                    "200ms" if lazy else "each"]
        if self.name == "redis":
            return ["redis-server", "--port", "0", "--unixsocket", self.address, "--dir", self.data, "--save", "",
                    "--appendonly", "yes", "--appendfsync", "everysec" if lazy else "always",
                    "--auto-aof-rewrite-percentage", "0", "--loglevel", "warning"]
        if self.name == "beanstalkd":
            return ["beanstalkd", "-l", f"unix:{self.address}", "-b", self.data, "-f200" if lazy else "-f0"]
        if self.name == "nats":
            config = self.directory / "nats.conf"
            config.write_text(f'host: "127.0.0.1"\nport: {self.port}\nmax_payload: 8MB\n'
                              f'jetstream {{ store_dir: "{self.data}", max_mem: 1G, max_file: 200G }}\n')
            return ["nats-server", "-c", config]
        return None

    def start(self):
        """Returns when the process runs; wait() waits until it listens."""
        command = self.command()
        if command is None:
            return
        if self.name in ("redis", "beanstalkd"):
            pathlib.Path(self.address).unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def wait(self):
        """Listening is what counts; only tuskd makes its socket before it serves."""
        end = time.monotonic() + START_SECONDS
        while self.process and not self.listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"{self.name} did not start: {self.last_words()}")
            time.sleep(0.01)

    def listens(self):
        kind = socket.AF_INET if self.name == "nats" else socket.AF_UNIX
        with socket.socket(kind) as probe:
            try:
                probe.connect(("127.0.0.1", self.port) if self.name == "nats" else self.address)
            except OSError:
                return False
        return True

    def signal_and_wait(self, number):
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self):
        if self.process:
            self.signal_and_wait(signal.SIGKILL)

    def stop(self):
        if self.process:
            self.signal_and_wait(signal.SIGTERM)

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def last_words(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-2000:]

    def rss_mb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return None

    def disk_bytes(self):
        """What is allocated, reserved space included: what nobody else can use."""
        total = 0
        for folder, _, names in os.walk(self.data):
            for name in names:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:
                    pass  # Removed meanwhile
        return total


def missing(name, build):
    """Why a system cannot be measured here; None: it can."""
    programs = {"redis": "redis-server", "nats": "nats-server", "beanstalkd": "beanstalkd"}
    if name in programs and not shutil.which(programs[name]):
        return f"{programs[name]} is not installed"
    if not (pathlib.Path(build) / f"tests/bench/bench_{name}").exists():
        return f"bench_{name} is not built (its library is not installed)"
    return None
