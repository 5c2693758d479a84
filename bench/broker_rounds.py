"""Rounds in turn (ours, peer, limit, ours, ...), what is checked in each, and the rows made of them."""
from __future__ import annotations

import pathlib
import shutil
from dataclasses import dataclass, field
from typing import Any, Callable

from broker_hosts import Broker, Brokers, Kind
from rows import BenchError, Row, Settings, median_row

Result = dict[str, Any]
Samples = dict[str, list[Result]]

FAULTS = ("lost", "dups", "reordered", "foreign", "unacked", "badack", "closed", "err")


@dataclass
class Bench:
    settings: Settings
    brokers: Brokers
    folder: pathlib.Path
    floor: Result = field(default_factory=dict)  # what OpenSSL itself needs, once measured

    def in_turn(self, whos: tuple[str, ...], kind: Kind, measure: Callable[[Broker], Result], fresh: bool = False, rounds: int = 0) -> Samples:
        """`fresh`: a new process for each sample, where what one leaves behind would be seen in the next. `rounds`: if not as set."""
        samples: Samples = {who: [] for who in self.brokers.available(whos)}
        running: dict[str, Broker] = {}
        try:
            for _ in range(rounds or self.settings.rounds):
                for who in samples:
                    if who not in running:
                        running[who] = self.brokers.start(who, kind)
                    samples[who].append(measure(running[who]))
                    if fresh:
                        running.pop(who).stop()
                        self.clear()
        finally:
            for broker in running.values():
                broker.stop()
            self.clear()
        return samples

    def clear(self) -> None:
        """Removes the data of brokers that are gone."""
        for path in self.folder.glob("*-ours"):
            shutil.rmtree(path / "data", ignore_errors=True)

    def load(self, broker: Broker, arguments: list[str], qos: int, seconds: list[str] | None = None) -> Result:
        if seconds is None:
            seconds = ["-W", "0.2", "-d", "0.4", "-D", "2"] if self.settings.quick else ["-W", "0.5", "-d", "2", "-D", "3"]
        result = self.brokers.load(broker, [*arguments, "-q", str(qos), *seconds])
        result["note"] = check_delivered(result, broker.who, qos)
        return result


def gather(into: Samples, more: Samples) -> None:
    """For rounds that take turns with something else."""
    for who, results in more.items():
        into.setdefault(who, []).extend(results)


def check_delivered(result: Result, who: str, qos: int) -> str:
    """Ours loses nothing at QoS 1 and 2, and keeps the order always; what the others do is told beside their figures."""
    wrong = {key: int(result[key]) for key in (*FAULTS, "stalls") if result[key]}
    text = f"{who}: {wrong}" if wrong else ""
    # A second without a delivery says something of the machine as long as nothing is missing at the end.
    if who == "ours" and set(wrong) - ({"stalls"} if qos else {"stalls", "lost"}):
        raise BenchError(f"QoS {qos}, {text}")
    return text


def row_of(name: str, unit: str, samples: Samples, key: str, scale: float = 1) -> Row:
    row = median_row(name, unit, {who: [result[key] * scale for result in results] for who, results in samples.items()})
    row.note = "; ".join(sorted({result["note"] for results in samples.values() for result in results if result.get("note")}))
    return row
