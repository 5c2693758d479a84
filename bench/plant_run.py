"""What a whole plant costs: memory of edge and hub at rest and under load, CPU for each message, latency from the
driver's report to the hub's log."""
from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import signal
import time
from dataclasses import dataclass
from typing import Any

from plant import Plant, PlantError, wait_for
from rows import BenchError, Row, Settings, print_table, program

EDGE_REST_MB = 10.0
HUB_REST_MB = 40.0
PRODUCT = "loadsensor"
MODEL = {
    "properties": [
        {
            "identifier": "Value",
            "name": "counter",
            "accessMode": "r",
            "dataType": {"type": "int", "specs": {"min": "0", "max": "2000000000"}},
        }
    ]
}


def rss_mb(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} is gone")


def cpu_seconds(pid: int) -> float:
    """User and system time of all its live threads."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@dataclass
class Phase:
    """One run of the driver."""

    values: int
    edge_cpu: float
    hub_cpu: float
    edge_mb: float
    hub_mb: float
    latencies_ms: list[int]


class LoadPlant(Plant):
    """The demo's plant with a load driver in the place of its devices."""

    def __init__(self, settings: Settings, devices: int) -> None:
        super().__init__(settings.build)
        self.names = [f"d{number}" for number in range(devices)]
        self.driver = program(settings.build, "load_driver") if devices else ""

    def register(self) -> None:
        product, name = self.GATEWAY.split("/")
        self.api.call("POST", "/api/v1/products", {"productKey": product, "name": "gateway", "nodeType": "gateway"})
        made = self.api.call("POST", "/api/v1/devices", {"productKey": product, "deviceName": name})
        secret = self.folder / "gateway.secret"
        secret.write_text(made["deviceSecret"])
        secret.chmod(0o600)
        if not self.names:
            return
        body = {"productKey": PRODUCT, "name": "load", "nodeType": "device", "model": MODEL}
        self.api.call("POST", "/api/v1/products", body)

        def add(device: str) -> None:
            sub = {"productKey": PRODUCT, "deviceName": device}
            self.api.call("POST", "/api/v1/devices", sub)
            self.api.call("POST", f"/api/v1/gateways/{self.GATEWAY}/devices", sub)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(add, self.names))

    def write_load_config(self, per_second: float, seconds: float, result: pathlib.Path | None) -> None:
        product, name = self.GATEWAY.split("/")
        text = (
            f'[edge]\ndata_dir = "{self.folder}/edge"\n'
            f'[identity]\nproduct_key = "{product}"\ndevice_name = "{name}"\ndevice_secret = "file:{self.folder}/gateway.secret"\n'
            f'[uplink]\nurl = "mqtt://127.0.0.1:{self.mqtt_port}"\nbackoff_min = "200ms"\nbackoff_max = "2s"\n'
            f'[bus]\nsocket = "unix:{self.folder}/bus.sock"\n[http]\nlisten = "unix:{self.folder}/status.sock"\n'
        )
        if result is not None:
            models = self.folder / "models"
            models.mkdir(exist_ok=True)
            (models / f"{PRODUCT}.json").write_text(json.dumps(MODEL))
            config = self.folder / "load.json"
            devices = [{"productKey": PRODUCT, "deviceName": name} for name in self.names]
            body = {"config": {"json": {"perSecond": per_second, "seconds": seconds}}, "deviceList": devices}
            config.write_text(json.dumps(body))
            text += (
                f'[[driver]]\nname = "load"\nprogram = "{self.driver}"\nargs = ["--result", "{result}"]\n'
                f'config_file = "{config}"\nmodels_dir = "{models}"\n'
            )
        (self.folder / "edge.toml").write_text(text)

    def edge_up(self) -> bool:
        assert self.edge
        self.edge.check()
        try:
            return bool(self.edge_status()["uplink"]["state"] == "up")
        except (OSError, ValueError, IndexError, KeyError):
            return False

    def drained(self) -> bool:
        assert self.edge and self.hub
        self.edge.check()
        self.hub.check()
        try:
            return int(self.edge_status()["backlog"]["records"]) == 0
        except (OSError, ValueError, IndexError, KeyError):
            return False

    def stop_edge(self) -> None:
        assert self.edge
        self.edge.kill(signal.SIGTERM)

    def points(self, begin_ms: int) -> list[dict[str, Any]]:
        """All values reported since, of all devices; waits until the hub has applied its log to history."""
        found: list[dict[str, Any]] = []
        for name in self.names:
            cursor = ""
            while True:
                query = f"?property=Value&limit=10000&from={begin_ms}" + (f"&cursor={cursor}" if cursor else "")
                page = self.api.call("GET", f"/api/v1/devices/{PRODUCT}/{name}/history{query}")
                found += page["points"]
                cursor = page.get("next")
                if not cursor:
                    break
        return found


def run_phase(plant: LoadPlant, number: int, per_second: float, seconds: float) -> Phase:
    result = plant.folder / f"result-{number}.json"
    plant.write_load_config(per_second, seconds, result)
    begin_ms = int(time.time() * 1000)
    assert plant.hub
    hub = plant.hub.popen.pid
    plant.start_edge()
    assert plant.edge
    edge = plant.edge.popen.pid
    wait_for("the edge is connected", 20, plant.edge_up)
    # Bringing devices online costs too, once: it is left out. The driver is quiet for 2 s from here.
    wait_for("all devices are online", 120, pathlib.Path(f"{result}.online").exists)
    time.sleep(1)
    cpu = cpu_seconds(edge), cpu_seconds(hub)
    edge_mb = hub_mb = 0.0

    def written() -> bool:
        nonlocal edge_mb, hub_mb
        edge_mb, hub_mb = max(edge_mb, rss_mb(edge)), max(hub_mb, rss_mb(hub))
        assert plant.edge and plant.hub
        plant.edge.check()
        plant.hub.check()
        return result.exists()

    wait_for("the load driver is done", seconds + 120, written, step=0.25)
    wait_for("the backlog is delivered", 180, plant.drained, step=0.1)
    time.sleep(1)
    used = cpu_seconds(edge) - cpu[0], cpu_seconds(hub) - cpu[1]
    plant.stop_edge()
    counts = json.loads(result.read_text())
    points = plant.points(begin_ms)
    if len(points) != counts["acknowledged"] or counts["refused"]:
        raise BenchError(f"the driver was told that {counts['acknowledged']} values are safe; history has {len(points)}: {counts}")
    latencies = sorted(int(point["received"]) - int(point["time"]) for point in points)
    return Phase(len(points), used[0], used[1], edge_mb, hub_mb, latencies)


def at_rest(plant: LoadPlant) -> list[Row]:
    plant.write_load_config(0, 0, None)
    plant.start_edge()
    wait_for("the edge is connected", 20, plant.edge_up)
    time.sleep(2)
    assert plant.edge and plant.hub
    rows = [
        Row("edge at rest, no driver", "MB resident", rss_mb(plant.edge.popen.pid), limit=EDGE_REST_MB),
        Row("hub at rest, set up", "MB resident", rss_mb(plant.hub.popen.pid), limit=HUB_REST_MB),
    ]
    plant.stop_edge()
    return rows


def phase_rows(plant: LoadPlant, settings: Settings) -> list[Row]:
    paced = run_phase(plant, 1, 1.0, 3.0 if settings.quick else 20.0)
    flood = run_phase(plant, 2, 0.0, 1.0 if settings.quick else 8.0)
    devices = len(plant.names)
    title = f"{devices} devices x 1 value/s"
    middle = paced.latencies_ms[len(paced.latencies_ms) // 2]
    late = paced.latencies_ms[min(len(paced.latencies_ms) - 1, int(len(paced.latencies_ms) * 0.99))]
    return [
        Row(f"edge, {title}", "MB resident", paced.edge_mb),
        Row(f"hub, {title}", "MB resident", paced.hub_mb),
        Row(f"edge, {title}", "values/cpu-s", paced.values / paced.edge_cpu),
        Row(f"hub, {title}", "values/cpu-s", paced.values / paced.hub_cpu),
        Row("report -> hub's log, p50", "ms", float(middle), limit=50.0),
        Row("report -> hub's log, p99", "ms", float(late)),
        Row(f"edge, {devices} devices, full window", "values/cpu-s", flood.values / flood.edge_cpu),
        Row(f"hub, {devices} devices, full window", "values/cpu-s", flood.values / flood.hub_cpu),
        Row("edge, full window", "MB resident", flood.edge_mb),
        Row("hub, full window", "MB resident", flood.hub_mb),
    ]


def run(settings: Settings, with_load: bool) -> list[Row]:
    devices = (50 if settings.quick else 1000) if with_load else 0
    plant = LoadPlant(settings, devices)
    good = False
    try:
        plant.start_hub()
        plant.set_up_hub()
        plant.register()
        rows = at_rest(plant)
        if with_load:
            rows += phase_rows(plant, settings)
        good = True
    except PlantError as error:
        raise BenchError(f"{error} (logs are in {plant.folder})") from error
    finally:
        plant.stop(keep=not good and "BRIM_KEEP" in os.environ)
    print_table("edge to hub" if with_load else "at rest", rows, "peer", "target")
    return rows
