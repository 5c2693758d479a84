"""Many clients at once: those that come and go, those that stall, those that come back."""
from __future__ import annotations

from broker_hosts import BROKERS, WHO, Broker, Kind
from broker_memory import tls_floor
from broker_rounds import Bench, Result, Samples, gather, row_of
from rows import BenchError, Row, median_row


def connects(bench: Bench, tls: bool) -> list[Row]:
    count = (200 if tls else 1000) if bench.settings.quick else (4000 if tls else 10000)

    def measure(broker: Broker) -> Result:
        result = bench.brokers.load(broker, ["connect", "-n", str(count), "-c", "50", *(["--tls"] if tls else [])])
        if result["err"] or result["closed"] or result["resumed"]:
            raise BenchError(f"{broker.who} refused or resumed some of {count} connections: {result}")
        return result

    kind = Kind(tls=tls, bare=("accept",))
    if not tls:
        return [row_of("connects", "connects/cpu-s", bench.in_turn(WHO, kind, measure), "per_bcpu")]
    row = row_of("TLS 1.3 full handshakes, ECDSA", "connects/cpu-s", bench.in_turn(BROKERS, kind, measure), "per_bcpu")
    row.limit = tls_floor(bench)["handshakes_per_cpu_s"]
    return [row]


def stalled(bench: Bench) -> list[Row]:
    """One publisher, each subscriber gets each message; a tenth of them stops reading."""
    count = 500 if bench.settings.quick else 10_000
    seconds = ["-W", "0.5", "-d", "1", "-D", "3"] if bench.settings.quick else ["-W", "3", "-d", "10", "-D", "10"]
    load = ["fanout", "-S", str(count), "-r", "8" if bench.settings.quick else "1", "-s", "1024"]

    def calm_one(broker: Broker) -> Result:
        return bench.load(broker, load, 1, seconds)

    def stalled_one(broker: Broker) -> Result:
        return bench.load(broker, [*load, "--stalled", str(count // 10)], 1, seconds)

    calm: Samples = {}
    ill: Samples = {}
    for _ in range(bench.settings.rounds):
        for samples, measure in ((calm, calm_one), (ill, stalled_one)):
            gather(samples, bench.in_turn(BROKERS, Kind(), measure, fresh=True, rounds=1))
    change = {
        who: [100 * (after["p99_us"] / before["p99_us"] - 1) for before, after in zip(calm[who], ill[who])]
        for who in calm
    }
    none, tenth = f"stalled subscribers, none of {count:,}", f"stalled subscribers, {count // 10:,} of {count:,}"
    changed = median_row(f"{tenth}: change of p99", "%", change)
    changed.has_ratio = False
    return [
        row_of(f"{none}: p99", "us", calm, "p99_us"),
        row_of(f"{tenth}: p99 of the others", "us", ill, "p99_us"),
        changed,
        row_of(f"{none}: RSS", "MB", calm, "rss1_kb", 1 / 1024),
        row_of(f"{tenth}: RSS", "MB", ill, "rss1_kb", 1 / 1024),
    ]


def storm(bench: Bench) -> list[Row]:
    """All TLS clients are cut off at once and come back, 500 on their way at a time, with full handshakes."""
    count = bench.settings.storm or (300 if bench.settings.quick else 10_000)

    def measure(broker: Broker) -> Result:
        result = bench.brokers.load(broker, ["storm", "-n", str(count), "-c", "500", "--tls"])
        result["note"] = f"{broker.who}: {result['attempts']:.0f} attempts" if result["attempts"] != count else ""
        return result

    samples = bench.in_turn(BROKERS, Kind(tls=True), measure, fresh=True)
    title = f"storm of {count:,} TLS clients"
    cpu = row_of(f"{title}: CPU", "cpu-s", samples, "broker_cpu_s")
    cpu.limit = count / tls_floor(bench)["handshakes_per_cpu_s"]
    return [row_of(f"{title}: all are back", "s", samples, "secs"), cpu]
