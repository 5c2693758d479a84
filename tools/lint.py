#!/usr/bin/env python3
"""Format, layers, co_await forms, the MQTT conformance table, lock files, and clang-tidy.

clang-tidy takes some eight seconds of a core for a file, so it looks at a part of the tree: at what differs from a revision
(--since, default HEAD), at the files of the newest commits until --recent COUNT are reached (CI), or at --all."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from typing import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE = ("src", "sdk", "drivers", "tests", "bench", "fuzz")


def git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line]


def code_files() -> list[str]:
    return [name for name in git("ls-files", *CODE) if name.endswith((".h", ".cpp", ".c")) and (ROOT / name).exists()]


def check_format() -> list[str]:
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *code_files()], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    wrong = sorted({line.split(":", 1)[0] for line in done.stderr.splitlines() if "clang-format-violations" in line})
    return [f"{name}: not formatted; run clang-format-19 -i {name}" for name in wrong] or [done.stderr.strip()]


def check_script(name: str) -> list[str]:
    done = subprocess.run([ROOT / "tools" / name], cwd=ROOT, capture_output=True, text=True)
    return [] if done.returncode == 0 else done.stdout.splitlines()


def check_lock_files() -> list[str]:
    found = []
    for name in git("ls-files", "*package-lock.json"):
        if '"resolved"' in (ROOT / name).read_text(encoding="utf-8"):
            found.append(f"{name}: carries download addresses; npm config set omit-lockfile-registry-resolved true, then npm install")
    return found


def check_unfinished() -> list[str]:
    """Unfinished work does not land."""
    mark = re.compile(r"\b(TODO|FIXME|XXX)\b")
    found = []
    for name in code_files():
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            if mark.search(line):
                found.append(f"{name}:{number}: unfinished work: {line.strip()}")
    return found


# Which build's compile commands: a plain build before one with sanitizers; the fuzz targets are in build/asan only.
BUILDS = ("dev", "release", "tsan", "asan")
TIDY_SECONDS = 210
# A test is as long as its story.
TEST_CHECKS = "-readability-function-size"
# Not of the build: the tests compile these, with warnings as errors.
FOREIGN = "tests/integration/"


def databases() -> dict[str, pathlib.Path]:
    """Each file that some build compiles, by its name in the tree, with the folder of that build."""
    known: dict[str, pathlib.Path] = {}
    folders = sorted((ROOT / "build").glob("*/compile_commands.json"), key=lambda path: (BUILDS + (path.parent.name,)).index(path.parent.name))
    for path in folders:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            file = pathlib.Path(entry["file"])
            if file.is_relative_to(ROOT) and not file.is_relative_to(ROOT / "build"):
                known.setdefault(str(file.relative_to(ROOT)), path.parent)
    return known


def newest_first() -> Iterator[str]:
    """Files that are changed or new, then those of the commits, newest first; those that are gone by now as well."""
    yield from git("diff", "--name-only", "HEAD")
    yield from git("ls-files", "--others", "--exclude-standard", *CODE)
    yield from git("log", "--format=", "--name-only", "--no-renames")


def units(names: Iterator[str], count: int | None) -> list[str]:
    """The translation units among the names, and those a header has beside it, each once; at most `count`."""
    found: dict[str, None] = {}
    for name in names:
        stem = name.rpartition(".")[0]
        for unit in (name,) if name.endswith((".cpp", ".c")) else (stem + ".cpp", stem + ".c") if name.endswith(".h") else ():
            ours = unit.startswith(tuple(folder + "/" for folder in CODE)) and not unit.startswith(FOREIGN)
            if ours and (ROOT / unit).exists() and (count is None or len(found) < count):
                found[unit] = None
        if count is not None and len(found) >= count:
            break
    return list(found)


def tidy_one(unit: str, build: pathlib.Path) -> list[str]:
    # The commands are those of g++: clang does not know all of its warnings.
    command = ["clang-tidy-19", "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option", unit]
    if "/tests/" in unit:
        command.insert(1, f"--checks={TEST_CHECKS}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    found = [line.replace(f"{ROOT}/", "") for line in done.stdout.splitlines() if re.search(r"(warning|error): ", line)]
    if done.returncode != 0 and not found:
        found = [f"{unit}: clang-tidy ended with {done.returncode}: {' '.join(done.stderr.split())[-300:]}"]
    return found


def check_tidy(chosen: list[str], seconds: float | None) -> tuple[list[str], str]:
    """Problems (.clang-tidy says which findings are), and what was looked at; the other findings are printed as hints. That it could
    not look is a problem."""
    if shutil.which("clang-tidy-19") is None:
        return ["clang-tidy-19 is not installed; ./dev lint installs it"], "not run"
    known = databases()
    if not known:
        return ["there is no build/*/compile_commands.json; configure once: cmake --preset dev"], "not run"
    problems = [f"{unit}: no build in build/ compiles it; configure one that does (cmake --preset dev, or fuzz)" for unit in chosen if unit not in known]
    end = None if seconds is None else time.monotonic() + seconds

    def look(unit: str) -> list[str] | None:
        return None if end is not None and time.monotonic() > end else tidy_one(unit, known[unit])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(look, [unit for unit in chosen if unit in known]))
    lines = dict.fromkeys(line for result in results for line in result or [])  # a header is part of many units
    problems += [line for line in lines if ": warning: " not in line]
    hints = [line for line in lines if ": warning: " in line]
    for hint in hints[:50]:
        print(f"  {hint}")
    late = sum(result is None for result in results)
    looked = f"{len(results) - late} files" + (f", {len(hints)} hints" if hints else "")
    if results and late == len(results):
        problems.append("no time was left for a single file")
    return problems, looked + (f"; {late} older ones had to wait, {seconds:.0f} s were over" if late else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--since", default="HEAD", metavar="REVISION", help="clang-tidy looks at what differs from this revision")
    which.add_argument("--recent", type=int, metavar="COUNT", help="at this many files, those changed last")
    which.add_argument("--all", action="store_true", help="at the whole tree (more than an hour of one core)")
    parser.add_argument("--only", choices=("tidy", "rest"), help="clang-tidy alone, or all but clang-tidy")
    options = parser.parse_args()

    if options.all:
        chosen = units(iter(code_files()), None)
    elif options.recent is not None:
        chosen = units(newest_first(), options.recent)
    else:
        changed = git("diff", "--name-only", options.since) + git("ls-files", "--others", "--exclude-standard", *CODE)
        chosen = units(iter(changed), None)
    checks: dict[str, Callable[[], list[str]]] = {
        "format": check_format,
        "layers": lambda: check_script("check_layers"),
        "await": lambda: check_script("check_await"),
        "conformance": lambda: check_script("check_conformance"),
        "lock files": check_lock_files,
        "unfinished": check_unfinished,
    }
    outcomes: dict[str, tuple[list[str], str]] = {}
    if options.only != "tidy":
        outcomes.update((name, (check(), "")) for name, check in checks.items())
    if options.only != "rest":
        outcomes["clang-tidy"] = check_tidy(chosen, TIDY_SECONDS if options.recent is not None else None)
    failed = 0
    for name, (problems, note) in outcomes.items():
        print(f"lint: {name}: {'ok' if not problems else f'{len(problems)} problems'}{f' ({note})' if note else ''}")
        for problem in problems[:50]:
            print(f"  {problem}")
        failed += bool(problems)
    print(f"lint: {len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
