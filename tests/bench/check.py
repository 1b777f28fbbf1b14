"""What must be true of rows, however slow the machine is."""
import plan as planning

FIELDS = ("system", "workload", "size", "mode", "median", "min", "max", "unit", "ratio_to_redis",
          "ratio_to_best_peer", "ratio_to_limit")


def expected(system, plan):
    """{(workload, mode)} that a system must have at least."""
    in_process, modes = planning.SYSTEMS[system]
    workloads = planning.APPENDS + planning.READS + planning.NEXTS
    if not in_process:
        workloads += (planning.E2E,) + tuple(planning.topics(count) for count in plan.topics)
        workloads += tuple(planning.connections(count) for count in plan.connections)
    wanted = {("disk_1", "lazy"), ("disk_100", "lazy"), ("recovery", "lazy")}
    for workload in workloads:
        for mode in modes:
            possible = workload.only in ("", system) and (workload.in_process or not in_process)
            if mode in workload.modes and (system, mode) not in plan.left_out and possible:
                wanted |= {(workload.name + suffix, mode) for suffix, _, _ in workload.columns}
                if workload.cpu:
                    wanted.add((f"{workload.name}_server_cpu", mode))
    return wanted


def check(rows, result):
    """Fail at the first row that is missing or cannot be true."""
    assert not result["failures"], result["failures"]
    values = {}
    for row in rows:
        assert all(field in row for field in FIELDS), row
        assert 0 <= row["min"] <= row["median"] <= row["max"] < 1e12, row
        assert row["median"] > 0 or row["workload"].endswith("cpu"), row
        values[row["system"], row["workload"], row["mode"]] = row["median"]
    for system in result["systems"]:
        for workload, mode in expected(system, planning.smoke()):
            assert (system, workload, mode) in values, f"no row for {system} {workload} {mode}"
    for (system, workload, mode), value in values.items():
        if workload.endswith("_p50"):
            assert value <= values[system, workload[:-3] + "p99", mode], (system, workload, mode)
        if workload.startswith("disk_"):
            assert value >= 100, f"{system}: an entry of 100 bytes on {value} bytes of disk"
    for row in rows:
        if row["system"] == "tusk" and "redis" in result["systems"] and not row["workload"].endswith("cpu"):
            assert row["ratio_to_redis"] is not None and row["ratio_to_best_peer"] is not None, row
    for limit in ("pingpong_us", "socket_mbps", "write64k_mbps", "commit_us", "scan_mbps"):
        assert ("limit", limit, None) in values, f"no limit {limit}"
