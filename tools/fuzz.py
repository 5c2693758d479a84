#!/usr/bin/env python3
"""Runs the fuzz targets. Seeds are read from fuzz/corpus/TARGET and run first; what is found goes to .cache/fuzz.

For a while each (--seconds), or as a campaign (--executions N): one after the other, until N executions of each are
in the ledger; --campaign until there are as many as we want of each. A campaign may be stopped (SIGINT or SIGTERM) and
started again: it goes on where it was. --table only prints the ledger, --merge adds to the seeds. docs/fuzzing.md
says more."""
from __future__ import annotations

import argparse
import concurrent.futures
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS = ROOT / "fuzz" / "corpus"
FOUND = ROOT / ".cache" / "fuzz"
LEDGER = FOUND / "ledger.json"
GOAL = 10_000_000  # executions of each target,
GOALS = {"fuzz_mqtt_packets": 100_000_000, "fuzz_sdk_packets": 100_000_000}  # and of the packet readers
SLICE_SECONDS = 120  # of a campaign: then the ledger is written, and it begins from the seeds again
CAMPAIGN_TIMEOUT_SECONDS = 120  # of one execution, by the clock: at the lowest priority it may have to wait for a core
# Memory that an execution gave back stays with the process for the next one: a third more executions of those that make whole worlds.
# The address sanitizer has an allocator of its own.
KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 29), "MALLOC_MMAP_THRESHOLD_": str(1 << 29)}
INTERRUPTED = 72  # libFuzzer's exit code after SIGINT: it was told to stop, by us
SEED_BYTES_MAX = 4_096
SEEDS_MAX = 60
SEEDS_BYTES_MAX = 12_000  # of one target

stopping = False


@dataclass
class Run:
    """What one process of a target did."""

    executions: int
    seconds: float
    code: int
    log: str

    @property
    def is_finding(self) -> bool:
        return self.code not in (0, INTERRUPTED) and not stopping


def flavour_of(build: pathlib.Path) -> str:
    """ "checked" has the address sanitizer, "fast" has not."""
    cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    return "fast" if re.search(r"^BRIM_SANITIZE:\w+=coverage$", cache, re.M) else "checked"


def execute(program: pathlib.Path, *arguments: str, limit: float) -> Run:
    command = [str(program.resolve()), "-rss_limit_mb=2048", "-print_final_stats=1", *arguments]
    begun = time.monotonic()
    # A group of its own: a signal for the campaign is passed on once, so that what was done so far is told. Not a session of
    # its own: Linux would share the cores out between sessions, and forget the campaign's low priority.
    env = {**os.environ, **KEPT_MEMORY}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0, env=env) as process:
        deadline = begun + limit
        while True:
            try:
                _, log = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if stopping or time.monotonic() > deadline:
                    process.send_signal(signal.SIGINT)
                    deadline += 30
    ran = re.search(r"^stat::number_of_executed_units: (\d+)", log, re.M)
    return Run(int(ran.group(1)) if ran else 0, time.monotonic() - begun, process.returncode, log)


def fuzz(program: pathlib.Path, seconds: int, timeout: int, runs: int = -1, *more: str, found: pathlib.Path | None = None) -> Run:
    """What is found goes to `found`, and what is there is where it begins, besides the seeds."""
    found = found or FOUND / program.name
    found.mkdir(parents=True, exist_ok=True)
    arguments = [f"-max_total_time={seconds}", f"-runs={runs}", f"-timeout={timeout}", f"-artifact_prefix={FOUND}/{program.name}-", *more, str(found)]
    seeds = SEEDS / program.name
    if seeds.is_dir():
        arguments.append(str(seeds))
    return execute(program, *arguments, limit=seconds * 3 + 120)


def replay(program: pathlib.Path) -> Run | None:
    """Each seed once and nothing else; nothing when there are none."""
    seeds = sorted((SEEDS / program.name).glob("*"))
    return execute(program, "-timeout=30", *map(str, seeds), limit=300) if seeds else None


class Ledger:
    """Executions and seconds by target and flavour, of all runs in this tree. Several processes may add to it."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, float]]] = {}
        self.read()

    def read(self) -> None:
        if LEDGER.exists():
            self.rows = json.loads(LEDGER.read_text(encoding="utf-8"))

    def add(self, target: str, flavour: str, run: Run) -> None:
        LEDGER.parent.mkdir(parents=True, exist_ok=True)
        with open(LEDGER.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.read()
            row = self.rows.setdefault(target, {}).setdefault(flavour, {"executions": 0, "seconds": 0, "findings": 0})
            row["executions"] += run.executions
            row["seconds"] = round(row["seconds"] + run.seconds, 1)
            row["findings"] += run.is_finding
            fresh = LEDGER.with_suffix(".new")
            fresh.write_text(json.dumps(self.rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            fresh.replace(LEDGER)

    def executions(self, target: str) -> int:
        return int(sum(row["executions"] for row in self.rows.get(target, {}).values()))

    def rate(self, target: str) -> float:
        rows = self.rows.get(target, {}).values()
        return sum(row["executions"] for row in rows) / max(sum(row["seconds"] for row in rows), 1)

    def table(self) -> str:
        lines = ["| target | flavour | executions | hours | findings |", "|---|---|---:|---:|---:|"]
        for target, flavours in sorted(self.rows.items()):
            for flavour, row in sorted(flavours.items()):
                lines.append(f"| {target} | {flavour} | {int(row['executions']):,} | {row['seconds'] / 3600:.2f} | {int(row['findings'])} |")
        return "\n".join(lines)


def tell(program: pathlib.Path, run: Run) -> None:
    if run.is_finding:
        print(f"{program.name}: FINDING\n" + "\n".join(run.log.splitlines()[-40:]), flush=True)
    else:
        rate = run.executions / max(run.seconds, 0.001)
        print(f"{program.name}: {run.executions:,} executions, {rate:,.0f} a second, no finding", flush=True)


def for_a_while(programs: list[pathlib.Path], flavour: str, seconds: int) -> int:
    """All seeds first: what was found once must never come back."""
    ledger = Ledger()
    failed: set[str] = set()
    executions = seeds = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, replayed in zip(programs, pool.map(replay, programs)):
            seeds += len(list((SEEDS / program.name).glob("*")))
            if replayed and replayed.code != 0:
                failed.add(program.name)
                tell(program, replayed)
        print(f"fuzz: {seeds} seeds replayed", flush=True)
        for program, run in zip(programs, pool.map(lambda program: fuzz(program, seconds, 10), programs)):
            ledger.add(program.name, flavour, run)
            executions += run.executions
            tell(program, run)
            if run.is_finding or run.executions == 0:
                failed.add(program.name)
    print(f"fuzz: {executions:,} executions of {len(programs)} targets")
    print(f"fuzz: {len(programs) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not programs else 0


def campaign(programs: list[pathlib.Path], flavour: str, goals: dict[str, int]) -> int:
    """A target with a finding is left; the others go on."""
    ledger = Ledger()
    failed: set[str] = set()
    for program in programs:
        goal = goals[program.name]
        (FOUND / program.name).mkdir(parents=True, exist_ok=True)
        while not stopping and program.name not in failed and ledger.executions(program.name) < goal:
            # From the seeds each time: inputs that have grown for hours are long, and ten times slower than those of the first minutes.
            # To weigh inputs by the rarity of what they reach takes longer than most executions.
            with tempfile.TemporaryDirectory() as folder:
                anew = pathlib.Path(folder)
                run = fuzz(program, SLICE_SECONDS, CAMPAIGN_TIMEOUT_SECONDS, goal - ledger.executions(program.name), "-entropic=0", found=anew)
                for path in anew.iterdir():
                    shutil.copyfile(path, FOUND / program.name / path.name)
            ledger.add(program.name, flavour, run)
            tell(program, run)
            print(f"{program.name}: {ledger.executions(program.name):,} of {goal:,}", flush=True)
            if run.is_finding or run.executions == 0:
                failed.add(program.name)
    print(ledger.table())
    return 1 if failed else 0


def merge(program: pathlib.Path) -> None:
    """Adds to the seeds what reaches more than they do, as far as the tree should carry it. Seeds that are there stay."""
    seeds = SEEDS / program.name
    seeds.mkdir(parents=True, exist_ok=True)
    there = {path.name: path.stat().st_size for path in seeds.iterdir()}
    with tempfile.TemporaryDirectory() as folder:
        for name in there:
            shutil.copyfile(seeds / name, pathlib.Path(folder) / name)
        found = FOUND / program.name
        found.mkdir(parents=True, exist_ok=True)
        done = execute(program, "-set_cover_merge=1", f"-max_len={SEED_BYTES_MAX}", folder, str(found), limit=1_800)
        if done.code != 0:
            sys.exit(f"{program.name}: merging failed\n{done.log[-2_000:]}")
        fresh = sorted((path for path in pathlib.Path(folder).iterdir() if path.name not in there), key=lambda path: (path.stat().st_size, path.name))
        files_max = max(0, SEEDS_MAX - len(there))
        room = SEEDS_BYTES_MAX - sum(there.values())
        # Evenly over the sizes: the small ones alone are those that are refused at once.
        chosen = fresh if len(fresh) <= files_max else [fresh[i * len(fresh) // files_max] for i in range(files_max)]
        kept = 0
        for path in chosen:
            content = path.read_bytes()
            if len(content) <= room:
                (seeds / hashlib.sha1(content).hexdigest()).write_bytes(content)
                room -= len(content)
                kept += 1
    print(f"{program.name}: {len(there)} seeds, {kept} of {len(fresh)} inputs that reach more added", flush=True)


def on_signal(_number: int, _frame: object) -> None:
    global stopping
    stopping = True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "asan")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--executions", type=int, help="until so many of each target are in the ledger")
    parser.add_argument("--campaign", action="store_true", help="as many of each as we want: packet readers first, then the quick ones")
    parser.add_argument("--merge", action="store_true", help="add to the seeds in fuzz/corpus")
    parser.add_argument("--table", action="store_true", help="print the ledger")
    parser.add_argument("target", nargs="*", help="only these, such as fuzz_json, in this order")
    options = parser.parse_args()
    if options.table:
        print(Ledger().table())
        return 0
    programs = sorted(p for p in (options.build / "fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    if options.target:
        by_name = {program.name: program for program in programs}
        unknown = [name for name in options.target if name not in by_name]
        if unknown:
            parser.error(f"{options.build} has no target {' '.join(unknown)}")
        programs = [by_name[name] for name in options.target]
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    flavour = flavour_of(options.build)
    if options.merge:
        for program in programs:
            merge(program)
        return 0
    if options.executions:
        return campaign(programs, flavour, {program.name: options.executions for program in programs})
    if options.campaign:
        goals = {program.name: GOALS.get(program.name, GOAL) for program in programs}
        ledger = Ledger()
        programs.sort(key=lambda program: (program.name not in GOALS, goals[program.name] / max(ledger.rate(program.name), 0.001)))
        return campaign(programs, flavour, goals)
    return for_a_while(programs, flavour, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
