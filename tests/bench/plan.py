"""What is measured, with which systems, and what bounds it."""
import dataclasses

MODES = ("lazy", "each")
# Of each system: whether it is in process, and the modes it has. NATS 2.9 cannot sync each message.
SYSTEMS = {
    "tusk": (False, MODES),
    "redis": (False, MODES),
    "nats": (False, ("lazy",)),
    "beanstalkd": (False, MODES),
    "rocksdb": (True, MODES),
    "lmdb": (True, MODES),
}
IN_FLIGHT = 1000


@dataclasses.dataclass(frozen=True)
class Workload:
    """One run of a load generator. What is reported of it are its columns: (suffix of the name,
    column, unit)."""
    name: str
    kind: str
    batch: int = 1
    window: int = 1
    clients: int = 1
    topics: int = 1
    columns: tuple = (("", "entries_per_s", "entries/s"),)
    cpu: bool = False  # Processor time is reported, too
    in_process: bool = True  # A store in process can do it
    modes: tuple = MODES
    only: str = ""  # The system that can do it; empty: all
    beside: str = ""  # The workload of the others that it is compared with; empty: this one


TIMES = (("_p50", "p50_us", "us"), ("_p99", "p99_us", "us"))

# For each size, in this order; reads come after the fill.
APPENDS = (
    Workload("W1", "latency", columns=TIMES),
    Workload("W2", "append", window=IN_FLIGHT, cpu=True, in_process=False),
    Workload("W3", "many", clients=16),
    Workload("W4x100", "append", batch=100),
    Workload("W4x1000", "append", batch=1000, cpu=True),
    Workload("W4x100_8", "append", batch=100, window=8, in_process=False),
    Workload("W4x1000_8", "append", batch=1000, window=8, in_process=False),
)
READS = (
    Workload("R1", "read", cpu=True),
    Workload("R1m", "mapped", cpu=True, only="tusk", beside="R1"),
    Workload("R1c", "group"),
)
# A strict checkpoint is durable in every mode of tusk, so of the others only what syncs each compares.
BESIDE = {workload.name: workload.beside for workload in READS if workload.beside}
NEXTS = (
    Workload("R2", "next", modes=("each",)),
    Workload("R2_pipelined", "next", window=IN_FLIGHT, in_process=False, modes=("each",)),
)
E2E = Workload("E2E", "e2e", columns=TIMES, in_process=False)


def topics(count):
    return Workload(f"topics_{count}", "append", window=IN_FLIGHT, topics=count, in_process=False)


def connections(count):
    return Workload(f"connections_{count}", "many", clients=count, in_process=False)


@dataclasses.dataclass
class Plan:
    """How much of it."""
    systems: tuple = tuple(SYSTEMS)
    rounds: int = 3
    seconds: float = 0.7
    sizes: tuple = (100, 1024, 16384)
    fill: int = 500000  # Entries of 100 B that are read; of larger ones as many bytes
    bytes: int = 256000000  # An append that is faster than the clock ends here
    warm_seconds: float = 1.5
    settle_seconds: float = 1.5
    rate: int = 10000
    topics: tuple = (1, 10, 100, 1000, 10000, 100000)
    connections: tuple = (1, 4, 16, 64, 256, 1000)
    kept: int = 5000000
    left_out: tuple = ()  # Pairs of system and mode


def quick():
    return Plan(systems=("tusk", "redis"), seconds=0.4, sizes=(100,), fill=200000, bytes=128000000, warm_seconds=1.0,
                settle_seconds=1.0, topics=(1000,), connections=(64,), kept=1000000)


def smoke():
    return Plan(rounds=1, seconds=0.03, sizes=(100,), fill=3000, bytes=1000000, warm_seconds=0.02, settle_seconds=0,
                rate=1000, topics=(1, 50), connections=(4,), kept=3000,
                # It syncs entry by entry, which takes minutes where the disk is slow.
                left_out=(("beanstalkd", "each"),))


def lower_is_better(unit):
    return unit != "entries/s"


def limit_of(workload, size, mode, limits):
    """What bounds a row on this machine, in its own unit; None: no probe says."""
    commit = 0 if mode == "lazy" else limits["commit_us"]
    disk = limits["write64k_mbps"] if mode == "lazy" else limits["synced_mbps"]
    if workload == "W1_p50":
        return limits["pingpong_us"] + commit
    if workload == "E2E_p50":
        return limits["relay_us"] + commit
    if workload == "R2":
        return 1e6 / (limits["pingpong_us"] + commit)
    if workload == "W3":
        return min(limits["clients_per_s"], 16e6 / commit if commit else float("inf"))
    if workload.startswith("connections_"):
        bound = float(workload.split("_")[1]) * 1e6
        return min(limits["clients_per_s"], bound / (limits["pingpong_us"] + commit))
    if workload == "W2" or workload.startswith(("W4", "topics_")) and "cpu" not in workload:
        return min(limits["socket_mbps"], disk) * 1e6 / size
    if workload == "R1m":
        return limits["scan_mbps"] * 1e6 / size
    if workload in ("R1", "R1c"):
        return limits["socket_mbps"] * 1e6 / size
    if workload.startswith("disk_"):
        return size
    return None
