"""brim-hub's broker beside mosquitto (the peer) and the bare loop (the limit): same load, rounds in turn. The table of all cases."""
from __future__ import annotations

import functools
import pathlib
import re
import resource
import shutil
import sys
import tempfile
from dataclasses import dataclass
from typing import Callable

from broker_crowds import connects, retained, stalled, storm
from broker_hosts import BROKERS, Brokers, Kind
from broker_memory import after_start, idle
from broker_rounds import Bench
from broker_traffic import Traffic, durable, latency, traffic, two_loops
from rows import BenchError, Row, Settings, print_table

FANIN = ("fanin", "-P", "10", "-S", "1", "-w", "100")

# name, load, QoS levels
LOADS: list[tuple[str, Traffic, tuple[int, ...]]] = [
    ("fan-in 10 x 100 outstanding", Traffic(FANIN), (0, 1, 2)),
    ("fan-in 500 x 1 outstanding", Traffic(("fanin", "-P", "500", "-S", "1", "-w", "1")), (0, 1)),
    ("fan-out 1 -> 100", Traffic(("fanout", "-S", "100", "-w", "10")), (0, 1)),
    ("200 pairs x 1 outstanding", Traffic(("pairs", "-P", "200", "-w", "1"), Kind(bare=("forward", "--pairs"))), (0, 1)),
    ("fan-in 10 x 100 outstanding over TLS", Traffic((*FANIN, "--tls"), Kind(tls=True), BROKERS), (0, 1)),
]

# Of LOADS, by name: what can be batched, and what cannot.
ON_TWO_LOOPS = ("fan-in 10 x 100 outstanding", "fan-out 1 -> 100", "200 pairs x 1 outstanding")

MISSES = "each publish to a new topic"


@dataclass(frozen=True)
class Case:
    """`name` is what --only looks at; the rows say more."""

    name: str
    measure: Callable[[Bench], list[Row]]


def cases(quick: bool) -> list[Case]:
    made = []
    for name, load, levels in LOADS:
        for qos in levels:
            title = f"{name}, QoS {qos}"
            made.append(Case(title, functools.partial(traffic, name=title, load=load, qos=qos)))
    for name, load, levels in LOADS:
        for qos in levels[:2] if name in ON_TWO_LOOPS else ():
            title = f"two loops beside one: {name}, QoS {qos}"
            made.append(Case(title, functools.partial(two_loops, name=title, load=load, qos=qos)))
    for count in (10_000,) if quick else (1, 100, 10_000, 100_000):
        for title, wild in ((f"beside {count:,} subscriptions", ()), (f"beside {count:,} wildcard subscriptions", ("--wild",))):
            load = Traffic(FANIN, beside=("--extra", str(count), *wild))
            made.append(Case(title, functools.partial(traffic, name=title, load=load, qos=0)))
    for title, beside in ((MISSES, ()), (f"{MISSES}, beside 100,000 wildcard subscriptions", ("--extra", "100000", "--wild"))):
        load = Traffic((*FANIN, "--fresh"), beside=beside)
        made.append(Case(title, functools.partial(traffic, name=title, load=load, qos=0)))
    made.append(Case("5,000/s one-to-one", functools.partial(latency, name="5,000/s one-to-one")))
    for publishers in (1, 10, 100, 1000):
        title = f"QoS 1 to a kept session, {publishers:,} x 1 outstanding"
        made.append(Case(title, functools.partial(durable, name=title, publishers=publishers)))
    return made + [
        Case("connects", functools.partial(connects, tls=False)),
        Case("TLS 1.3 full handshakes", functools.partial(connects, tls=True)),
        Case("RSS after start, brim-hub", functools.partial(after_start, who="ours")),
        Case("RSS after start, brim-edge", functools.partial(after_start, who="edge")),
        Case("idle connection", functools.partial(idle, tls=False)),
        Case("idle TLS connection", functools.partial(idle, tls=True)),
        Case("stalled subscribers", stalled),
        Case("retained messages", retained),
        Case("storm of TLS clients", storm),
    ]


def chosen(settings: Settings) -> list[Case]:
    try:
        found = [case for case in cases(settings.quick) if re.search(settings.only, case.name)]
    except re.error as error:
        raise BenchError(f"--only {settings.only}: {error}") from error
    if not found:
        names = "\n  ".join(case.name for case in cases(settings.quick))
        raise BenchError(f"--only {settings.only}: no case has such a name; there are\n  {names}")
    return found


def run(settings: Settings) -> list[Row]:
    wanted = chosen(settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # On the disk of the build tree: /tmp is memory on many machines.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="broker-bench-", dir=settings.build))
    rows: list[Row] = []
    try:
        bench = Bench(settings, Brokers(settings, folder), folder)
        for case in wanted:
            print(f"broker: {case.name}", file=sys.stderr, flush=True)
            rows += case.measure(bench)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        shutil.rmtree(folder, ignore_errors=True)
        print_table("broker", rows, "mosquitto", "limit")
    return rows
