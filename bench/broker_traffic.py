"""Messages through a broker: how many a CPU-second carries, how long they take, how many the disk lets through."""
from __future__ import annotations

from dataclasses import dataclass, replace

from broker_hosts import BROKERS, WHO, Broker, Kind
from broker_rounds import Bench, Result, Samples, gather, row_of
from rows import Row


@dataclass(frozen=True)
class Traffic:
    """A load; `beside` is what the bare loop does not have to carry."""

    load: tuple[str, ...]
    kind: Kind = Kind()
    whos: tuple[str, ...] = WHO
    beside: tuple[str, ...] = ()


def traffic(bench: Bench, name: str, load: Traffic, qos: int) -> list[Row]:
    def measure(broker: Broker) -> Result:
        beside = load.beside if broker.who != "limit" else ()
        return bench.load(broker, [*load.load, *beside], qos)

    return [row_of(name, "deliveries/cpu-s", bench.in_turn(load.whos, load.kind, measure), "out_per_bcpu")]


def two_loops(bench: Bench, name: str, load: Traffic, qos: int) -> list[Row]:
    """Sockets on a second loop (ours) beside all on one (peer): what the mail between them costs, and what it brings."""
    samples: Samples = {}
    for _ in range(bench.settings.rounds):
        for who, loops in (("ours", 2), ("peer", 1)):
            kind = replace(load.kind, loops=loops)
            gather(samples, {who: bench.in_turn(("ours",), kind, lambda broker: bench.load(broker, list(load.load), qos), rounds=1)["ours"]})
        gather(samples, bench.in_turn(("limit",), load.kind, lambda broker: bench.load(broker, list(load.load), qos), rounds=1))
    return [row_of(name, "deliveries/cpu-s", samples, "out_per_bcpu"), row_of(f"{name}, time", "deliveries/s", samples, "out_per_s")]


def latency(bench: Bench, name: str) -> list[Row]:
    """Open loop: a message's time counts from when it was due."""
    seconds = ["-W", "0.2", "-d", "0.4", "-D", "2"] if bench.settings.quick else ["-W", "1", "-d", "4", "-D", "3"]
    command = ["fanin", "-P", "1", "-S", "1", "-r", "5000"]
    samples = bench.in_turn(WHO, Kind(), lambda broker: bench.load(broker, command, 0, seconds))
    return [row_of(f"{name}: p50", "us", samples, "p50_us"), row_of(f"{name}: p99", "us", samples, "p99_us")]


def durable(bench: Bench, name: str, publishers: int) -> list[Row]:
    """One message outstanding each, to a subscriber whose session is kept. The peer acknowledges before the disk has it; the limits
    are the disk alone, where as many messages as there are publishers share a sync, and the bare loop."""
    command = ["fanin", "-P", str(publishers), "-S", "1", "-w", "1"]
    seconds = ["-W", "0.1", "-d", "0.4"] if bench.settings.quick else ["-W", "0.5", "-d", "2"]
    samples: Samples = {}
    bare: Samples = {}
    disk: list[Result] = []
    for _ in range(bench.settings.rounds):
        kept = bench.in_turn(BROKERS, Kind(durable=True), lambda broker: bench.load(broker, [*command, "--persist"], 1), True, 1)
        gather(samples, kept)
        gather(bare, bench.in_turn(("limit",), Kind(), lambda broker: bench.load(broker, command, 1), rounds=1))
        result = bench.brokers.run(["disk", "-n", str(publishers), "--folder", str(bench.folder), *seconds], "the disk")
        disk.append({"acked_per_s": result["per_s"]})
    return [
        row_of(name, "acked/s", {**samples, "limit": disk}, "acked_per_s"),
        row_of(f"{name}, CPU", "acked/cpu-s", {**samples, **bare}, "acked_per_bcpu"),
    ]
