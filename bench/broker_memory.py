"""What a broker keeps in memory: at the start, and for each idle connection."""
from __future__ import annotations

import json
import resource
import subprocess

from broker_hosts import BROKERS, Broker, Kind
from broker_rounds import Bench, Result, Samples, row_of
from rows import BenchError, Row, program

SPARE_DESCRIPTORS = 200  # a broker's own: files, listeners, workers
CONNECTIONS_MAX = 100_000  # unless asked for: the generator needs memory too
PORTS_EACH = 20_000  # of one source address


def tls_floor(bench: Bench) -> Result:
    """Bytes and handshakes of OpenSSL without a broker around it; prints where the bytes are. Measured once."""
    if not bench.floor:
        result = bench.folder / "floor.json"
        command = [program(bench.settings.build, "tls_bench"), "-n", "50" if bench.settings.quick else "1000", "--json", str(result)]
        if subprocess.run(command, check=False, timeout=120).returncode != 0:
            raise BenchError("tls_bench failed")
        bench.floor = dict(json.loads(result.read_text()))
    return bench.floor


def connections(bench: Bench) -> int:
    if bench.settings.connections:
        return bench.settings.connections
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS
    return 1000 if bench.settings.quick else min(limit, CONNECTIONS_MAX)


def idle_samples(bench: Bench, tls: bool, subscribed: bool) -> Samples:
    count = connections(bench)
    # The generator's processes have the broker's limit of descriptors, and an address a limit of ports.
    processes = -(-count // (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS))
    count -= count % processes

    def measure(broker: Broker) -> Result:
        broker.settle()
        command = ["idle", "-n", str(count), "-c", "200", "--hold", "0.5" if bench.settings.quick else "2"]
        command += ["--srcs", str(-(-count // PORTS_EACH)), "--procs", str(processes)]
        command += (["--sub"] if subscribed else []) + (["--tls"] if tls else [])
        result = bench.brokers.load(broker, command)
        if result["up"] != count or result["closed"] or result["err"]:
            raise BenchError(f"{broker.who} holds {result['up']:.0f} of {count} idle connections")
        return result

    return bench.in_turn(BROKERS, Kind(tls=tls), measure, fresh=True)


def idle(bench: Bench, tls: bool) -> list[Row]:
    """A fresh broker for each sample: what an allocator kept from before would hide the difference."""
    name = f"idle {'TLS ' if tls else ''}connection"
    unit = f"B RSS, of {connections(bench):,}"
    rows = [row_of(name, unit, idle_samples(bench, tls, False), "rss_B_per_conn")]
    rows.append(row_of(name + " with a subscription", unit, idle_samples(bench, tls, True), "rss_B_per_conn"))
    one = Row(f"{name}: one 4-level subscription", unit, None)
    if rows[0].ours is not None and rows[1].ours is not None:
        one.ours = rows[1].ours - rows[0].ours
    if rows[0].peer is not None and rows[1].peer is not None:
        one.peer = rows[1].peer - rows[0].peer
    if tls:
        for row in rows:
            row.limit = tls_floor(bench)["bytes"]
    return [*rows, one]


def after_start(bench: Bench, who: str) -> list[Row]:
    def measure(broker: Broker) -> Result:
        broker.settle()
        return {"mb": broker.rss_kb() / 1024}

    samples = bench.in_turn((who, "peer"), Kind(), measure, fresh=True)
    if who == "edge":
        samples["ours"] = samples.pop("edge")
    return [row_of(f"RSS after start, brim-{'edge' if who == 'edge' else 'hub'}", "MB", samples, "mb")]
