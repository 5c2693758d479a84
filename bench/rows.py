"""The rows all benchmarks produce: our figure, the peer's, the limit's, from one run."""
from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence


@dataclass
class Row:
    name: str
    unit: str
    ours: float | None
    peer: float | None = None
    limit: float | None = None
    note: str = ""
    ours_range: tuple[float, float] | None = field(default=None)
    has_ratio: bool = True  # of changes in per cent there is none

    def ratio(self, other: float | None) -> float | None:
        return round(self.ours / other, 4) if self.has_ratio and self.ours is not None and other else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer,
            "limit": self.limit,
            "ratio_peer": self.ratio(self.peer),
            "ratio_limit": self.ratio(self.limit),
        }


@dataclass
class Settings:
    build: pathlib.Path
    quick: bool
    rounds: int
    only: str = ""  # regular expression: which cases of the broker
    connections: int = 0  # idle ones; 0 = up to the limit of descriptors
    storm: int = 0  # clients that come back at once; 0 = 10,000


class BenchError(RuntimeError):
    """A measurement that could not be made; the text says why."""


def program(build: pathlib.Path, name: str) -> str:
    for path in build.rglob(name):
        if path.is_file() and path.stat().st_mode & 0o111:
            return str(path)
    raise BenchError(f"{name} is not built in {build}: run ./dev build release")


def median_row(name: str, unit: str, samples: Mapping[str, Sequence[float]]) -> Row:
    """`samples` has "ours", and "peer" and "limit" where there is one; a figure is the median of its rounds."""
    middle = {who: statistics.median(values) for who, values in samples.items() if values}
    ours = samples.get("ours") or []
    spread = (min(ours), max(ours)) if len(ours) > 1 else None
    return Row(name, unit, middle.get("ours"), middle.get("peer"), middle.get("limit"), ours_range=spread)


def figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def print_table(title: str, rows: Sequence[Row], peer: str, limit: str) -> None:
    width = max([len(row.name) for row in rows] + [len(title)])
    print(f"\n{title:<{width}} {'unit':<18} {'ours':>12} {peer:>12} {limit:>12} {'x peer':>8} {'x limit':>8}  range of ours")
    for row in rows:
        spread = f"{figure(row.ours_range[0])} .. {figure(row.ours_range[1])}" if row.ours_range else ""
        ratios = [f"{ratio:.2f}" if ratio is not None else "-" for ratio in (row.ratio(row.peer), row.ratio(row.limit))]
        print(
            f"{row.name:<{width}} {row.unit:<18} {figure(row.ours):>12} {figure(row.peer):>12} {figure(row.limit):>12} "
            f"{ratios[0]:>8} {ratios[1]:>8}  {spread}{' ' + row.note if row.note else ''}"
        )


def run_program(command: list[str], result: pathlib.Path) -> list[Row]:
    """Runs a benchmark program that prints its own table and writes rows to `result`."""
    done = subprocess.run(command, timeout=600, check=False)
    if done.returncode != 0:
        raise BenchError(f"{pathlib.Path(command[0]).name} ended with {done.returncode}")
    rows = json.loads(result.read_text())
    return [Row(row["name"], row["unit"], row["ours"], row["peer"], row["limit"]) for row in rows]
