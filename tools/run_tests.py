#!/usr/bin/env python3
"""Everything CI runs, in order, with a summary and a last line 'N passed, N failed'. --only NAME runs single steps; --list names them."""
from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ_SECONDS = 4
# Unit tests run with sanitizers only; in release the programs, the simulator and the benchmarks are enough.
RELEASE_TARGETS = [
    "brim-hub", "brim-edge", "brim", "brim-driver-modbus", "brim-driver-host", "brim_sim",
    "log_bench", "json_bench", "mqtt_bench", "tls_bench", "core_bench", "durable_bench", "load_driver",
]
SIM_SEEDS = 200
TIDY_FILES = 40
LONG_TESTS = ["sim_tests", "edge_tests", "mqtt_tests", "broker_tests", "store_tests", "sim_broker_tests"]
# What runs on more than one thread: these test programs, and the demo with hub, edge and drivers.
TSAN_TARGETS = [
    "base_tests", "io_tests", "sdk_c_tests",
    "brim-hub", "brim-edge", "brim-driver-modbus", "brim-driver-host",
]


@dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.notes += other.notes


def run(command: list[str], *, env: dict[str, str] | None = None, cwd: pathlib.Path = ROOT, limit: int = 1500) -> tuple[int, str]:
    """Runs a program, at most `limit` seconds; returns its exit code and output."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=limit,
        )
    except subprocess.TimeoutExpired as late:
        out = late.stdout if isinstance(late.stdout, str) else (late.stdout or b"").decode(errors="replace")
        return 124, out + f"\nended after {limit} s"
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])


def whole(command: list[str], **options: object) -> Outcome:
    """A step that is one test."""
    code, out = run(command, **options)  # type: ignore[arg-type]
    if code == 0:
        return Outcome(passed=1, notes=[out.splitlines()[-1]] if out.strip() else [])
    print(tail(out))
    return Outcome(failed=1)


def dev(*words: str) -> Outcome:
    return whole(["./dev", *words], limit=2400)


def lint_with(*words: str) -> Outcome:
    code, out = run([sys.executable, "tools/lint.py", *words])
    found = re.search(r"lint: (\d+) passed, (\d+) failed", out)
    if code != 0 or not found:
        print(tail(out, 80))
    notes = [line for line in out.splitlines() if "clang-tidy" in line]
    return Outcome(int(found.group(1)), int(found.group(2)), notes=notes) if found else Outcome(failed=1)


def lint() -> Outcome:
    return lint_with("--only", "rest")


def tidy() -> Outcome:
    """clang-tidy on the files changed last: it needs compile commands, and those of the fuzz targets are a build's own."""
    if not (ROOT / "build/asan/build.ninja").exists():
        code, out = run(["cmake", "--preset", "asan"])
        if code != 0:
            print(tail(out))
            return Outcome(failed=1)
    return lint_with("--only", "tidy", "--recent", str(TIDY_FILES))


def tools() -> Outcome:
    """The scripts that judge others are judged too."""
    code, out = run([sys.executable, "-m", "unittest", "discover", "-s", "tools/tests", "-p", "*_test.py"])
    found = re.search(r"^Ran (\d+) tests?", out, re.M)
    if code != 0 or not found:
        print(tail(out))
        return Outcome(failed=1)
    return Outcome(int(found.group(1)))


def console() -> Outcome:
    code, out = run(["npm", "run", "--silent", "check"], cwd=ROOT / "console")
    found = re.search(r"Tests\s+(?:(\d+) failed \| )?(\d+) passed", out)
    if code != 0 or not found:
        print(tail(out, 80))
        return Outcome(failed=1)
    return Outcome(int(found.group(2)), int(found.group(1) or 0))


def doctest(program: pathlib.Path, preset: str, before: list[str] | None = None) -> Outcome:
    env = {
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "second_deadlock_stack=1",
    }
    began = time.monotonic()
    code, out = run([*(before or []), str(program)], env=env, limit=1200)
    found = re.search(r"test cases:\s+(\d+) \|\s+(\d+) passed \|\s+(\d+) failed \|\s+(\d+) skipped", out)
    took = time.monotonic() - began
    print(f"   {program.name} ({preset}): {took:.1f} s", flush=True)
    if code != 0 or not found:
        print(f"{program.name}:\n{tail(out, 80)}", flush=True)
        return Outcome(int(found.group(2)) if found else 0, max(1, int(found.group(3)) if found else 1))
    return Outcome(int(found.group(2)), int(found.group(3)), int(found.group(4)))


def units(preset: str) -> Outcome:
    total = dev("compile", preset)
    if total.failed:
        return total
    code, out = run(["ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1"])
    if code != 0:
        return Outcome(failed=1)
    tests = [pathlib.Path(test["command"][0]) for test in json.loads(out)["tests"]]
    # Each is one thread: they run side by side, the long ones first.
    tests.sort(key=lambda test: LONG_TESTS.index(test.name) if test.name in LONG_TESTS else len(LONG_TESTS))
    total = Outcome()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcome in pool.map(lambda test: doctest(test, preset), tests):
            total.add(outcome)
    return total


def tsan() -> Outcome:
    """Data races: a report in any process fails the step, also when the process was killed later."""
    total = dev("compile", "tsan", *TSAN_TARGETS)
    if total.failed:
        return total
    # ThreadSanitizer of g++ 12 cannot start where addresses are as random as newer kernels make them.
    fixed = ["setarch", "--addr-no-randomize"]
    if run([*fixed, "true"])[0] != 0:
        fixed = []
    build = ROOT / "build" / "tsan"
    total = Outcome()
    for name in TSAN_TARGETS:
        if name.endswith("_tests"):
            total.add(doctest(next(path for path in build.rglob(name) if path.is_file()), "tsan", fixed))
    with tempfile.TemporaryDirectory(prefix="brim-tsan-") as folder:
        env = {"TSAN_OPTIONS": f"log_path={folder}/report"}
        demo_run = [*fixed, sys.executable, "tools/demo.py", "--build", "build/tsan", "--check", "--transport-loops", "2"]
        code, out = run(demo_run, env=env, limit=400)
        reports = sorted(pathlib.Path(folder).glob("report*"))
        for report in reports[:5]:
            print(tail(report.read_text(errors="replace"), 60))
        if code != 0:
            print(tail(out))
        total.add(Outcome(passed=1) if code == 0 and not reports else Outcome(failed=1))
    return total


def node_tests(folder: str, **env: str) -> Outcome:
    code, out = run(["./dev", "npm", folder])
    if code != 0:
        print(tail(out))
        return Outcome(failed=1)
    files = sorted(str(path.relative_to(ROOT / folder)) for path in (ROOT / folder).glob("*.test.mjs"))
    command = ["node", "--test", "--test-concurrency=1", "--test-reporter=tap", *files]
    code, out = run(command, env=env, cwd=ROOT / folder, limit=1200)
    counts = {name: int(number) for name, number in re.findall(r"^# (pass|fail|skipped|cancelled) (\d+)$", out, re.M)}
    failed = counts.get("fail", 0) + counts.get("cancelled", 0)
    if code != 0 or failed or "pass" not in counts:
        # Innermost first: the cause stands with the test that failed, not with the suite around it.
        for block in re.split(r"(?m)^(?= *(?:ok |not ok |# Subtest))", out)[1:]:
            if block.lstrip().startswith("not ok"):
                print(block[:4000])
        if not failed:
            print(tail(out))
    return Outcome(counts.get("pass", 0), max(failed, 0 if code == 0 else 1), counts.get("skipped", 0))


def programs() -> dict[str, str]:
    build = ROOT / "build" / "release"
    return {"HUB": str(build / "src/hub/brim-hub"), "EDGE": str(build / "src/edge/brim-edge"), "BRIM": str(build / "src/cli/brim")}


def demo() -> Outcome:
    code, out = run(["./dev", "npm", "tests/support/modbus-slave"])
    if code != 0:
        return Outcome(failed=1)
    return whole([sys.executable, "tools/demo.py", "--build", "build/release", "--check"], limit=400)


def simulator() -> Outcome:
    return whole(["build/release/tests/sim/brim_sim", "--seeds", str(SIM_SEEDS)], limit=900)


def bench_runs() -> Outcome:
    return whole([sys.executable, "tools/bench.py", "--build", "build/release", "--quick", "all"], limit=900)


def fuzz() -> Outcome:
    built = dev("compile", "asan", "fuzzers")
    if built.failed:
        return built
    code, out = run([sys.executable, "tools/fuzz.py", "--build", "build/asan", "--seconds", str(FUZZ_SECONDS)], limit=1200)
    found = re.search(r"fuzz: (\d+) passed, (\d+) failed", out)
    if code != 0 or not found:
        print(tail(out, 60))
    return Outcome(int(found.group(1)), int(found.group(2))) if found else Outcome(failed=1)


STEPS: dict[str, Callable[[], Outcome]] = {
    "lint": lint,
    "tools": tools,
    "console build": lambda: dev("console"),
    "console": console,
    "release build": lambda: dev("compile", "release", *RELEASE_TARGETS),
    "clang-tidy": tidy,
    "demo": demo,
    "simulator": simulator,
    "integration": lambda: node_tests("tests/integration", **programs()),
    "browser": lambda: node_tests("tests/browser", **programs()),
    "unit": lambda: units("asan"),
    "threads": tsan,
    "fuzz": fuzz,
    "bench": bench_runs,
}


def slowest_units() -> list[str]:
    """The ten slowest translation units of the release build, from ninja's log."""
    log = ROOT / "build" / "release" / ".ninja_log"
    if not log.exists():
        return []
    rows = [line.split("\t") for line in log.read_text().splitlines() if not line.startswith("#")]
    times = {row[3]: (int(row[1]) - int(row[0])) / 1000 for row in rows if row[3].endswith(".o")}
    worst = sorted(times.items(), key=lambda item: -item[1])[:10]
    return [f"{seconds:6.1f} s  {name}" for name, seconds in worst]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(STEPS), help="run only this step (may be repeated)")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(STEPS))
        return 0
    os.chdir(ROOT)
    total = Outcome()
    rows = []
    for name in options.only or list(STEPS):
        print(f"== {name}", flush=True)
        began = time.monotonic()
        outcome = STEPS[name]()
        took = time.monotonic() - began
        rows.append(f"{name:14} {outcome.passed:6} passed {outcome.failed:4} failed {outcome.skipped:4} skipped  {took:7.1f} s")
        print(f"   {rows[-1]}", flush=True)
        for note in outcome.notes[-1:]:
            print(f"   {note}")
        total.add(outcome)
        if outcome.failed and name in ("console build", "release build"):
            break
    print("\n" + "\n".join(rows))
    print("slowest units:\n" + "\n".join(slowest_units()))
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
