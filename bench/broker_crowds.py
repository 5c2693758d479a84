"""Many clients at once: those that come and go, those that stall, those that come back."""
from __future__ import annotations

import json
import subprocess

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


def retained(bench: Bench) -> list[Row]:
    """Many ask for all retained messages at once: how long others wait meanwhile. Not of mosquitto, which would hold all the answers in
    memory. The askers are nice, so that the generator of the others is not what waits."""
    topics, askers = (20_000, 20) if bench.settings.quick else (1_000_000, 1_000)
    seconds = ["-W", "0.2", "-d", "0.5", "-D", "2"] if bench.settings.quick else ["-W", "1", "-d", "5", "-D", "3"]
    others = ["fanin", "-P", "1", "-S", "1", "-r", "1000"]
    calm: list[Result] = []
    busy: list[Result] = []
    replays: list[Result] = []

    def measure(broker: Broker) -> Result:
        bench.brokers.load(broker, ["retain", "-n", str(topics), "-s", "16"])
        calm.append(bench.load(broker, others, 0, seconds))
        asking = ["nice", bench.brokers.bench, "replay", "-n", str(topics), "-S", str(askers), "-d", "1" if bench.settings.quick else "10"]
        with subprocess.Popen([*asking, "-p", str(broker.port), "--pid", str(broker.pid)], stdout=subprocess.PIPE, text=True) as process:
            busy.append(bench.load(broker, others, 0, seconds))
            replays.append(dict(json.loads(process.communicate(timeout=60)[0])))
        if replays[-1]["gone"]:
            raise BenchError(f"{broker.who} dropped clients that asked for retained messages: {replays[-1]}")
        return replays[-1]

    bench.in_turn(("ours",), Kind(), measure, fresh=True)
    ask = f"{askers:,} ask for {topics:,} retained"
    return [
        row_of(f"{topics:,} retained, nobody asks: p99 of others", "us", {"ours": calm}, "p99_us"),
        row_of(f"{ask}: p99 of others", "us", {"ours": busy}, "p99_us"),
        row_of(f"{ask}: they get", "messages/s", {"ours": replays}, "out_per_s"),
        row_of(f"{ask}: most memory", "MB", {"ours": replays}, "hwm_kb", 1 / 1024),
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
