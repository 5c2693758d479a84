#!/usr/bin/env python3
"""Runs the fuzz targets for a while each, on the corpus in fuzz/corpus/TARGET plus what earlier runs found in .cache/."""
from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def fuzz(program: pathlib.Path, seconds: int) -> subprocess.CompletedProcess[str]:
    found = ROOT / ".cache" / "fuzz" / program.name
    found.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "fuzz" / "corpus" / program.name
    command = [str(program.resolve()), f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=10",
               f"-artifact_prefix={found.parent}/{program.name}-", str(found)]
    if seeds.is_dir():
        command.append(str(seeds))
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds * 3 + 120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("target", nargs="*", help="only these, such as fuzz_json")
    options = parser.parse_args()
    programs = sorted(p for p in (options.build / "fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    if options.target:
        programs = [p for p in programs if p.name in options.target]
    passed = failed = executions = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, done in zip(programs, pool.map(lambda program: fuzz(program, options.seconds), programs)):
            runs = re.search(r"Done (\d+) runs", done.stderr)
            if done.returncode == 0 and runs:
                passed += 1
                executions += int(runs.group(1))
                print(f"{program.name}: {int(runs.group(1)):,} executions, no finding", flush=True)
            else:
                failed += 1
                print(f"{program.name}: FINDING\n" + "\n".join(done.stderr.splitlines()[-40:]), flush=True)
    print(f"fuzz: {executions:,} executions of {len(programs)} targets")
    print(f"fuzz: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
