"""A whole plant on this machine: a Modbus slave that is not ours, brim-edge with two drivers, brim-hub. Used by the demo,
the benchmarks and the end-to-end tests. Everything lives in one folder and on loopback."""
from __future__ import annotations

import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any, Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "drivers" / "modbus" / "example"


class PlantError(RuntimeError):
    """The plant did not do what it should; the text says what and where to look."""


def free_port() -> int:
    """Free now, and given by the system to nobody who does not ask for it: until a program listens there, a connection of
    another one could have taken a port from the range for those."""
    for _ in range(1000):
        wanted = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
                return wanted
            except OSError:
                continue
    raise PlantError("no free port was found")


def port_or_free(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
            return wanted
        except OSError:
            return free_port()


def wait_for(what: str, seconds: float, check: Callable[[], Any], step: float = 0.05) -> Any:
    """Polls `check` until it yields something true."""
    end = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise PlantError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(step)


class Api:
    """The hub's HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                cookie = answer.headers.get("Set-Cookie")
                if cookie:
                    self.headers = {"Cookie": cookie.split(";")[0], "X-Brim-Request": "demo"}
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise PlantError(f"{method} {path}: {error.read().decode(errors='replace')}") from error

    def reachable(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/livez", timeout=2):
                return True
        except OSError:
            return False

    def history(self, device: str, name: str) -> list[dict[str, Any]]:
        points: list[dict[str, Any]] = []
        cursor = ""
        while True:
            query = f"?property={name}&limit=10000" + (f"&cursor={cursor}" if cursor else "")
            page = self.call("GET", f"/api/v1/devices/{device}/history{query}")
            points += page["points"]
            cursor = page.get("next")
            if not cursor:
                return points


class Process:
    """A program with its output in a file; stopped only through its own handle."""

    def __init__(self, name: str, command: list[str], log: pathlib.Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

    def check(self) -> None:
        if self.popen.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise PlantError(f"{self.name} ended with {self.popen.returncode}; the end of its log:\n{tail}")

    def kill(self, how: int = signal.SIGKILL) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(how)
            try:
                self.popen.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


class Plant:
    GATEWAY = "demogateway/edge-1"
    MODBUS = "modbusdemo/demo-1"
    HOST = "host/this-machine"

    def __init__(self, build: pathlib.Path, http_port: int | None = None, mqtt_port: int | None = None) -> None:
        self.build = build.resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-demo-"))
        self.http_port = http_port or free_port()
        self.mqtt_port = mqtt_port or free_port()
        self.password = secrets.token_urlsafe(12)
        self.api = Api(f"http://127.0.0.1:{self.http_port}")
        self.hub: Process | None = None
        self.edge: Process | None = None
        self.slave: Process | None = None
        self.slave_port = 0
        self.transport_loops = 0  # of hub and edge each

    def program(self, name: str) -> str:
        found = list(self.build.rglob(name))
        for path in found:
            if path.is_file() and os.access(path, os.X_OK):
                return str(path)
        raise PlantError(f"{name} is not built in {self.build}: run ./dev build release")

    # --- hub
    def start_hub(self) -> None:
        config = self.folder / "hub.toml"
        config.write_text(
            f'[hub]\ndata_dir = "{self.folder}/hub"\ntransport_loops = {self.transport_loops}\n'
            f'[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:{self.mqtt_port}"\n'
            f'[[listener]]\nprotocol = "http"\naddress = "127.0.0.1:{self.http_port}"\n'
        )
        self.hub = Process("brim-hub", [self.program("brim-hub"), "run", "--config", str(config)], self.folder / "hub.log")

        def up() -> bool:
            assert self.hub
            self.hub.check()
            return self.api.reachable()

        wait_for("brim-hub answers", 20, up)

    def set_up_hub(self) -> None:
        log = self.folder / "hub.log"
        link = wait_for("the setup link", 10, lambda: re.search(r"/setup\?t=(\w+)", log.read_text(errors="replace")))
        self.api.call("POST", "/api/v1/setup", {"token": link.group(1), "user": "admin", "password": self.password})

    # --- devices
    def register(self) -> None:
        host_model = json.loads((ROOT / "drivers" / "host" / "model.json").read_text())
        modbus_model = json.loads((EXAMPLE / "model.json").read_text())
        for key, name, kind, model in (
            ("demogateway", "Demo gateway", "gateway", None),
            ("modbusdemo", "Modbus demo", "device", modbus_model),
            ("host", "This machine", "device", host_model),
        ):
            body: dict[str, Any] = {"productKey": key, "name": name, "nodeType": kind}
            if model is not None:
                body["model"] = model
            self.api.call("POST", "/api/v1/products", body)
        made = {}
        for device, nickname in ((self.GATEWAY, "Edge on this machine"), (self.MODBUS, "Modbus slave"), (self.HOST, "This machine")):
            product, name = device.split("/")
            made[device] = self.api.call("POST", "/api/v1/devices", {"productKey": product, "deviceName": name, "nickname": nickname})
        for device in (self.MODBUS, self.HOST):
            product, name = device.split("/")
            self.api.call("POST", f"/api/v1/gateways/{self.GATEWAY}/devices", {"productKey": product, "deviceName": name})
        secret = self.folder / "gateway.secret"
        secret.write_text(made[self.GATEWAY]["deviceSecret"])
        secret.chmod(0o600)

    # --- slave
    def start_slave(self) -> None:
        program = ROOT / "tests" / "support" / "modbus-slave" / "slave.mjs"
        command = ["node", str(program), "--port", str(self.slave_port), "--journal", str(self.folder / "slave.jsonl")]
        self.slave = Process("the Modbus slave", command, self.folder / "slave.log")

        def port() -> Any:
            assert self.slave
            self.slave.check()
            return re.findall(r'"port":(\d+)', (self.folder / "slave.log").read_text())

        self.slave_port = int(wait_for("the Modbus slave listens", 15, port)[-1])

    # --- edge
    def write_edge_config(self) -> None:
        models = self.folder / "models"
        models.mkdir(exist_ok=True)
        shutil.copy(EXAMPLE / "model.json", models / "modbusdemo.json")
        shutil.copy(EXAMPLE / "extension.json", models / "modbusdemo.ext.json")
        shutil.copy(ROOT / "drivers" / "host" / "model.json", models / "host.json")
        modbus = json.loads((EXAMPLE / "config.json").read_text())
        modbus["config"]["serverList"][0].update(port=self.slave_port, timeoutMs=5_000)  # a busy machine is no dead slave
        (self.folder / "modbus.json").write_text(json.dumps({"config": modbus["config"], "deviceList": modbus["deviceList"]}))
        product, name = self.HOST.split("/")
        device = {"productKey": product, "deviceName": name}
        settings = {"config": {"json": {"intervalMs": 500, "diskPath": "/"}}, "deviceList": [device]}
        (self.folder / "host.json").write_text(json.dumps(settings))
        product, name = self.GATEWAY.split("/")
        text = (
            f'[edge]\ndata_dir = "{self.folder}/edge"\ntransport_loops = {self.transport_loops}\n'
            f'[identity]\nproduct_key = "{product}"\ndevice_name = "{name}"\ndevice_secret = "file:{self.folder}/gateway.secret"\n'
            f'[uplink]\nurl = "mqtt://127.0.0.1:{self.mqtt_port}"\nkeepalive = "30s"\nbackoff_min = "200ms"\nbackoff_max = "2s"\n'
            f'[bus]\nsocket = "unix:{self.folder}/bus.sock"\n[http]\nlisten = "unix:{self.folder}/status.sock"\n'
        )
        for driver in ("modbus", "host"):
            text += (
                f'[[driver]]\nname = "{driver}"\nprogram = "{self.program("brim-driver-" + driver)}"\n'
                f'args = ["--journal", "{self.folder}/{driver}.reported"]\n'
                f'config_file = "{self.folder}/{driver}.json"\nmodels_dir = "{models}"\n'
            )
        (self.folder / "edge.toml").write_text(text)

    def start_edge(self) -> None:
        command = [self.program("brim-edge"), "run", "--config", str(self.folder / "edge.toml")]
        self.edge = Process("brim-edge", command, self.folder / "edge.log")

    def edge_status(self) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self.folder / "status.sock"))
            link.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            data = b""
            while chunk := link.recv(65536):
                data += chunk
        return dict(json.loads(data.split(b"\r\n\r\n", 1)[1]))

    def values(self, device: str) -> dict[str, Any]:
        try:
            return dict(self.api.call("GET", f"/api/v1/devices/{device}")["properties"])
        except (OSError, PlantError):
            return {}

    def start(self) -> None:
        self.start_hub()
        self.set_up_hub()
        self.register()
        self.start_slave()
        self.write_edge_config()
        self.start_edge()

    def stop(self, keep: bool = False) -> None:
        for process in (self.edge, self.hub, self.slave):
            if process:
                process.kill(signal.SIGTERM)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
