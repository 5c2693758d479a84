"""What the demo's Modbus slave served, held against the hub's history.

The driver asks for all registers in one cycle and reports them as one message with one time, so the slave's journal falls into
polls, each with a Counter that no other has. What can be demanded of them:

* A stored poll is stored whole: at its time stand the values of the registers that are always reported (ALWAYS), and the newest
  value up to then of those reported on a change (ON_CHANGE) is what the slave served in that poll.
* A report leaves the driver's memory only when the edge has it on disk, and reports arrive in order. So a poll may be missing only
  because driver or slave were killed (a "cut") before it was, and then all polls after it up to that cut are missing too.
* A value served when somebody wrote it (the driver reads it back) is in history."""
from __future__ import annotations

import bisect
import json
import time
from dataclasses import dataclass, field

ALWAYS = {"Counter", "Temperature", "Pressure", "Running"}
ON_CHANGE = {"Setpoint", "Valve"}
# A poll further from the cut than this had the time to reach the edge's disk.
CUT_MS_MAX = 5_000

History = dict[str, list[tuple[int, float]]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Poll:
    at: int
    values: dict[str, float]


@dataclass
class Comparison:
    polls: int = 0
    polls_cut: int = 0
    values: int = 0
    compared: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def read_journal(text: str) -> tuple[list[Poll], list[tuple[str, float]], int]:
    """Polls, what was read back after writes, and how many values there were."""
    polls: list[Poll] = []
    read_back: list[tuple[str, float]] = []
    values = 0
    open_poll = written = False
    for line in text.splitlines():
        entry = json.loads(line)
        if entry["op"] == "write":
            open_poll = False
            written = True
            continue
        name = str(entry["name"])
        if name not in ALWAYS | ON_CHANGE:
            continue
        values += 1
        if written and name in ON_CHANGE:
            read_back.append((name, float(entry["value"])))
            continue
        written = False
        # Each cycle reads in the same order: what comes a second time begins the next one.
        if not open_poll or name in polls[-1].values:
            polls.append(Poll(int(entry["at"]), {}))
            open_poll = True
        polls[-1].values[name] = float(entry["value"])
    return polls, read_back, values


def same(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= 1e-6


def name_of(poll: Poll) -> str:
    return f"the poll at {poll.at} with Counter {poll.values.get('Counter')}"


def compare_poll(poll: Poll, when: int, at: dict[str, dict[int, float]], history: History, result: Comparison) -> None:
    for name, value in poll.values.items():
        if name in ALWAYS:
            stored = at[name].get(when)
        else:
            points = history.get(name, [])
            index = bisect.bisect_right(points, when, key=lambda point: point[0])
            stored = points[index - 1][1] if index else None
        result.compared += 1
        if not same(stored, value):
            result.wrong.append(f"wrong: at {when} the slave served {name} {value}, history has {stored}")


def compare(journal: str, history: History, cuts: list[int]) -> Comparison:
    """`history`: (time, value) of each property. `cuts`: when driver or slave had been killed, in ms."""
    history = {name: sorted(points) for name, points in history.items()}
    at = {name: dict(history.get(name, [])) for name in ALWAYS}
    time_of = {value: when for when, value in history.get("Counter", [])}
    polls, read_back, result_values = read_journal(journal)
    result = Comparison(polls=len(polls), values=result_values)
    gap: dict[int, list[Poll]] = {}  # by cut: the polls shortly before it that are not stored
    for index, poll in enumerate(polls):
        cut = bisect.bisect_left(cuts, poll.at)
        when = time_of.get(poll.values.get("Counter", -1.0))
        if when is None:
            if cut < len(cuts) and cuts[cut] - poll.at <= CUT_MS_MAX:
                gap.setdefault(cut, []).append(poll)
            else:
                result.lost.append(f"lost: {name_of(poll)}")
            continue
        result.lost += [f"lost: {name_of(each)}, though one after it is stored" for each in gap.pop(cut, [])]
        # Its last answers may have been cut off, if it was the last before a cut.
        if index + 1 == len(polls) or bisect.bisect_left(cuts, polls[index + 1].at) != cut:
            poll.values = {name: value for name, value in poll.values.items() if name in ON_CHANGE or when in at[name]}
        compare_poll(poll, when, at, history, result)
    result.polls_cut = sum(map(len, gap.values()))
    for name, value in read_back:
        result.compared += 1
        if not any(same(stored, value) for _, stored in history.get(name, [])):
            result.wrong.append(f"wrong: {name} {value} was read back after a write and is not in history")
    return result
