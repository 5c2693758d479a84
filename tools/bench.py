#!/usr/bin/env python3
"""./dev bench: measures Brim beside its peers and beside the limits of this machine, in one run."""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import sys
import tempfile
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import broker_run  # noqa: E402
import plant_run  # noqa: E402
from plant import PlantError  # noqa: E402
from rows import BenchError, Row, Settings, program, run_program  # noqa: E402


def run_log(settings: Settings) -> list[Row]:
    # On the disk of the build tree: /tmp is memory on many machines.
    with tempfile.TemporaryDirectory(prefix="log-bench-", dir=settings.build) as folder:
        result = pathlib.Path(folder) / "rows.json"
        command = [program(settings.build, "log_bench"), "--folder", folder, "--json", str(result)]
        return run_program(command + (["--ms", "4"] if settings.quick else []), result)


def run_json(settings: Settings) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="json-bench-") as folder:
        result = pathlib.Path(folder) / "rows.json"
        command = [program(settings.build, "json_bench"), "--json", str(result)]
        return run_program(command + (["--seconds", "0.2"] if settings.quick else []), result)


def run_core(settings: Settings) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="core-bench-") as folder:
        result = pathlib.Path(folder) / "rows.json"
        command = [program(settings.build, "core_bench"), "--json", str(result)]
        return run_program(command + (["--seconds", "0.05"] if settings.quick else []), result)


def run_durable(settings: Settings) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="durable-bench-", dir=settings.build) as folder:
        result = pathlib.Path(folder) / "rows.json"
        command = [program(settings.build, "durable_bench"), "--folder", folder, "--json", str(result)]
        return run_program(command + (["--seconds", "0.1", "--rounds", "1"] if settings.quick else []), result)


BENCHES: dict[str, tuple[str, Callable[[Settings], list[Row]]]] = {
    "log": ("durable log beside SQLite and a bare preallocated file", run_log),
    "broker": ("MQTT broker beside mosquitto and the bare loop", broker_run.run),
    "core": ("broker core without sockets beside a loop that only cuts and copies", run_core),
    "durable": ("QoS 1 to kept sessions, acknowledged from disk, beside memory only", run_durable),
    "json": ("validated property reports beside nlohmann and simdjson", run_json),
    "e2e": ("driver -> edge -> hub: memory, CPU for each value, latency", lambda settings: plant_run.run(settings, True)),
    "rest": ("memory of edge and hub at rest", lambda settings: plant_run.run(settings, False)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("name", nargs="?", choices=[*BENCHES, "all"], help="which one; none: list them")
    parser.add_argument("--json", type=pathlib.Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, one round: checks that it runs")
    parser.add_argument("--rounds", type=int, default=0, help="of the broker's loads (default 5)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="broker: cases whose name has this regular expression")
    parser.add_argument("--connections", type=int, default=0, help="broker: idle ones (default: up to the limit of descriptors)")
    parser.add_argument("--storm", type=int, default=0, help="broker: TLS clients that come back at once (default 10,000)")
    options = parser.parse_args()
    if options.name is None:
        for name, (text, _) in BENCHES.items():
            print(f"  {name:<8} {text}")
        print("  all      every one of them")
        return 0
    rounds = options.rounds or (1 if options.quick else 5)
    # Ended from outside, it still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = Settings(options.build.resolve(), options.quick, rounds, options.only, options.connections, options.storm)
    # rest is a part of e2e
    names = [name for name in BENCHES if name != "rest"] if options.name == "all" else [options.name]
    rows: list[Row] = []
    failed = False
    load = os.getloadavg()[0]
    for name in names:
        try:
            rows += BENCHES[name][1](settings)
        except (BenchError, PlantError) as error:
            print(f"bench {name}: {error}", file=sys.stderr)
            failed = True
    print(f"\nload average of the machine before and after: {load:.1f}, {os.getloadavg()[0]:.1f}")
    if options.json:
        options.json.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
