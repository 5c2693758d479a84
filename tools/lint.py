#!/usr/bin/env python3
"""Format, layers, co_await forms, the MQTT conformance table, lock files, and clang-tidy on the C++ files changed since a revision (--since, default HEAD)."""
import argparse
import pathlib
import re
import subprocess
import sys

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


def check_tidy(since: str, build: pathlib.Path) -> list[str]:
    if not (build / "compile_commands.json").exists():
        return []
    changed = [n for n in git("diff", "--name-only", "--diff-filter=d", since) if n.startswith(CODE) and n.endswith(".cpp")]
    if not changed:
        return []
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", str(build), *changed], cwd=ROOT, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if re.search(r"(warning|error): ", line)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since", default="HEAD", help="clang-tidy looks at C++ files changed since this revision")
    options = parser.parse_args()
    checks = {
        "format": check_format,
        "layers": lambda: check_script("check_layers"),
        "await": lambda: check_script("check_await"),
        "conformance": lambda: check_script("check_conformance"),
        "lock files": check_lock_files,
        "unfinished": check_unfinished,
        "clang-tidy": lambda: check_tidy(options.since, ROOT / "build" / "dev"),
    }
    failed = 0
    for name, check in checks.items():
        problems = check()
        print(f"lint: {name}: {'ok' if not problems else f'{len(problems)} problems'}")
        for problem in problems[:50]:
            print(f"  {problem}")
        failed += bool(problems)
    print(f"lint: {len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
