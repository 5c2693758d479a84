#!/usr/bin/env python3
"""./dev demo: a Modbus device and this machine, live in the browser. --check: headless, with hub and edge killed on the way."""
from __future__ import annotations

import argparse
import collections
import json
import pathlib
import sys
import time
from typing import Any

import served
from plant import Plant, PlantError, port_or_free, wait_for

OUTAGE_SECONDS = 20
FIRST_VALUE_TARGET_SECONDS = 60
MUST_BE_ZERO = ("missing", "duplicates", "served_values_wrong", "served_polls_lost")


def write_setpoint(plant: Plant, value: float) -> None:
    """Sets the one register that never changes by itself, and waits until it is reported back."""
    plant.api.call("PUT", f"/api/v1/devices/{plant.MODBUS}/properties", {"values": {"Setpoint": value}})
    wait_for(f"Setpoint {value} is reported", 30, lambda: plant.values(plant.MODBUS).get("Setpoint", {}).get("value") == value)


def reported(plant: Plant) -> list[tuple[str, str, int, float]]:
    """What the drivers were told is safe: (device, property, time, value), from their journals."""
    found = []
    for driver in ("modbus", "host"):
        for line in (plant.folder / f"{driver}.reported").read_text().splitlines():
            topic, _, payload = line.partition(" ")
            _, _, product, name, *_ = topic.split("/")
            for identifier, sample in json.loads(payload)["params"].items():
                found.append((f"{product}/{name}", identifier, int(sample["time"]), float(sample["value"])))
    return found


def stored(plant: Plant, names: set[tuple[str, str]]) -> collections.Counter[tuple[str, str, int, float]]:
    counted: collections.Counter[tuple[str, str, int, float]] = collections.Counter()
    for device, identifier in sorted(names):
        for point in plant.api.history(device, identifier):
            counted[(device, identifier, int(point["time"]), float(point["value"]))] += 1
    return counted


def backlog_empty(plant: Plant) -> bool:
    try:
        status = plant.edge_status()
    except (OSError, ValueError, IndexError):
        return False
    return int(status["backlog"]["records"]) == 0


def outage(plant: Plant, figures: dict[str, Any], cuts: list[int]) -> None:
    assert plant.hub and plant.edge
    time.sleep(5)
    plant.hub.kill()
    began = time.monotonic()
    time.sleep(OUTAGE_SECONDS / 2)
    plant.edge.kill()  # the drivers die with it
    cuts.append(served.now_ms() + 500)
    time.sleep(1)
    plant.start_edge()
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    plant.start_hub()
    back = time.monotonic()
    wait_for("the backlog is delivered", 120, lambda: backlog_empty(plant))
    figures["seconds_to_catch_up"] = round(time.monotonic() - back, 2)
    time.sleep(3)


def compare(plant: Plant, figures: dict[str, Any], cuts: list[int]) -> None:
    """Stops the devices, lets everything arrive, compares both ends."""
    assert plant.edge and plant.slave
    plant.slave.kill()
    cuts.append(served.now_ms() + 500)
    time.sleep(1)
    # The drivers end with the edge; what they were told is safe by then is in their journals.
    wait_for("the last reports are delivered", 30, lambda: backlog_empty(plant))
    plant.edge.kill()
    plant.start_edge()
    wait_for("the restarted edge is empty", 60, lambda: backlog_empty(plant))
    plant.edge.kill()
    expected = collections.Counter(reported(plant))
    found = stored(plant, {(device, identifier) for device, identifier, _, _ in expected})
    missing = {key: count - found[key] for key, count in expected.items() if found[key] < count}
    duplicates = sum(count - max(expected[key], 1) for key, count in found.items() if count > max(expected[key], 1))
    figures["reported"] = sum(expected.values())
    figures["stored"] = sum(found.values())
    figures["missing"] = sum(missing.values())
    figures["duplicates"] = duplicates
    history = {}
    for identifier in served.ALWAYS | served.ON_CHANGE:
        history[identifier] = [(when, value) for device, name, when, value in found if device == plant.MODBUS and name == identifier]
    result = served.compare((plant.folder / "slave.jsonl").read_text(), history, cuts)
    figures["served_counters"] = result.polls
    figures["served_but_never_reported"] = result.polls_cut + len(result.lost)
    figures["served_values"] = result.values
    figures["served_values_compared"] = result.compared
    figures["served_values_wrong"] = len(result.wrong)
    figures["served_polls_lost"] = len(result.lost)
    for text in (result.lost + result.wrong)[:10]:
        print(text, file=sys.stderr)
    for key in list(missing)[:10]:
        print(f"missing: {key}", file=sys.stderr)


def check(build: pathlib.Path, keep: bool, transport_loops: int) -> int:
    plant = Plant(build)
    plant.transport_loops = transport_loops
    figures: dict[str, Any] = {}
    good = False
    try:
        began = time.monotonic()
        plant.start()
        wait_for("values of the Modbus slave", 60, lambda: "Counter" in plant.values(plant.MODBUS))
        wait_for("values of this machine", 60, lambda: "CpuPercent" in plant.values(plant.HOST))
        figures["seconds_to_first_value"] = round(time.monotonic() - began, 2)
        figures["seconds_to_first_value_target"] = FIRST_VALUE_TARGET_SECONDS
        write_setpoint(plant, 25.5)
        cuts: list[int] = []
        outage(plant, figures, cuts)
        write_setpoint(plant, 31.5)
        compare(plant, figures, cuts)
        good = all(figures[name] == 0 for name in MUST_BE_ZERO) and figures["served_values_compared"] > 0
    except PlantError as error:
        figures["error"] = str(error)
    finally:
        plant.stop(keep=keep or not good)
    figures["ok"] = good
    if not good:
        print(f"logs are in {plant.folder}", file=sys.stderr)
    print(json.dumps(figures))
    return 0 if good else 1


def show(build: pathlib.Path) -> int:
    plant = Plant(build, port_or_free(8080), port_or_free(1883))
    try:
        plant.start()
        wait_for("values of the Modbus slave", 60, lambda: "Counter" in plant.values(plant.MODBUS))
        print(
            f"\n  Open  {plant.api.url}/devices/{plant.MODBUS}\n"
            f"  user  admin\n  password  {plant.password}\n\n"
            f"  Pull the plug:   kill -9 {plant.hub.popen.pid if plant.hub else 0}     (it is started again after 20 s)\n"
            f"  Logs and data:   {plant.folder}\n  Ctrl-C ends the demo and removes them.\n",
            flush=True,
        )
        while True:
            time.sleep(0.5)
            for process, start in ((plant.hub, plant.start_hub), (plant.edge, plant.start_edge)):
                if process and process.popen.poll() is not None:
                    print(f"{process.name} is gone; back in {OUTAGE_SECONDS} s ...", flush=True)
                    time.sleep(OUTAGE_SECONDS)
                    start()
                    print(f"{process.name} runs again", flush=True)
    except KeyboardInterrupt:
        print("\nending the demo")
        return 0
    finally:
        plant.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave logs and data behind")
    parser.add_argument("--transport-loops", type=int, default=0, help="with --check: further threads for sockets, of hub and edge each")
    options = parser.parse_args()
    return check(options.build, options.keep, options.transport_loops) if options.check else show(options.build)


if __name__ == "__main__":
    sys.exit(main())
