"""brim-hub's broker beside mosquitto (the peer) and the bare loop (the limit): same load, rounds in turn."""
from __future__ import annotations

import json
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Callable

from plant import Process, free_port, wait_for
from rows import BenchError, Row, Settings, median_row, print_table, program

WHO = ("ours", "peer", "limit")


@dataclass
class Broker:
    who: str
    port: int
    process: Process

    def stop(self) -> None:
        self.process.kill(signal.SIGTERM)


class Brokers:
    """Starts any of the three in a folder of its own."""

    def __init__(self, settings: Settings, folder: pathlib.Path) -> None:
        self.hub = program(settings.build, "brim-hub")
        self.bench = program(settings.build, "mqtt_bench")
        self.mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        self.folder = folder
        self.started = 0

    def command(self, who: str, port: int, folder: pathlib.Path, bare: list[str]) -> list[str]:
        if who == "ours":
            config = folder / "hub.toml"
            config.write_text(
                f'[hub]\ndata_dir = "{folder}/data"\n[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:{port}"\n'
                'auth = "unsafe-anonymous"\n'
            )
            return [self.hub, "run", "--config", str(config)]
        if who == "peer":
            assert self.mosquitto
            config = folder / "mosquitto.conf"
            config.write_text(
                f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\nset_tcp_nodelay true\n"
                "max_inflight_messages 128\nmax_queued_messages 10000\nuser root\n"
            )
            return [self.mosquitto, "-c", str(config)]
        return [self.bench, *bare, "-p", str(port)]

    def start(self, who: str, bare: list[str]) -> Broker:
        self.started += 1
        folder = self.folder / f"{self.started}-{who}"
        folder.mkdir()
        port = free_port()
        process = Process(who, self.command(who, port, folder, bare), folder / "log")

        def up() -> bool:
            process.check()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(f"{who} listens on {port}", 20, up)
        return Broker(who, port, process)

    def available(self, wanted: tuple[str, ...]) -> list[str]:
        if self.mosquitto is None:
            print("mosquitto is not installed: no peer figures")
        return [who for who in wanted if who != "peer" or self.mosquitto is not None]

    def load(self, broker: Broker, arguments: list[str]) -> dict[str, Any]:
        command = [self.bench, *arguments, "-p", str(broker.port), "--pid", str(broker.process.popen.pid), "--label", broker.who]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        broker.process.check()
        if done.returncode != 0:
            raise BenchError(f"mqtt_bench {' '.join(arguments)} against {broker.who}: {done.stderr.strip()}")
        return dict(json.loads(done.stdout))


def check_delivered(result: dict[str, Any], who: str, qos: int) -> str:
    """Ours must lose nothing at QoS 1 and keep the order; what the others do is told beside their figures."""
    wrong = {key: int(result[key]) for key in ("lost", "dups", "reordered", "foreign", "stalls") if result[key]}
    text = f"{who}: {wrong}" if wrong else ""
    if who == "ours" and wrong and (qos or set(wrong) - {"lost", "stalls"}):
        raise BenchError(f"QoS {qos}, {text}")
    return text


def traffic(brokers: Brokers, settings: Settings, name: str, arguments: list[str], bare: list[str], qos: int) -> Row:
    seconds = ["-W", "0.2", "-d", "0.4", "-D", "2"] if settings.quick else ["-W", "0.5", "-d", "2", "-D", "3"]
    samples: dict[str, list[float]] = {who: [] for who in WHO}
    notes = set()
    running = [brokers.start(who, ["forward", *bare]) for who in brokers.available(WHO)]
    try:
        for _ in range(settings.rounds):
            for broker in running:
                result = brokers.load(broker, [*arguments, "-q", str(qos), *seconds])
                notes.add(check_delivered(result, broker.who, qos))
                samples[broker.who].append(result["out_per_bcpu"])
    finally:
        for broker in running:
            broker.stop()
    row = median_row(f"{name}, QoS {qos}", "deliveries/cpu-s", samples)
    row.note = "; ".join(sorted(notes - {""}))
    return row


def connects(brokers: Brokers, settings: Settings) -> Row:
    samples: dict[str, list[float]] = {who: [] for who in WHO}
    count = "1000" if settings.quick else "10000"
    running = [brokers.start(who, ["accept"]) for who in brokers.available(WHO)]
    try:
        for _ in range(settings.rounds):
            for broker in running:
                result = brokers.load(broker, ["connect", "-n", count, "-c", "50"])
                if result["err"] or result["closed"]:
                    raise BenchError(f"{broker.who} refused {result['err'] + result['closed']:.0f} of {count} connections")
                samples[broker.who].append(result["per_bcpu"])
    finally:
        for broker in running:
            broker.stop()
    return median_row("connects", "connects/cpu-s", samples)


def idle(brokers: Brokers, settings: Settings, subscribed: bool) -> Row:
    """A fresh broker for each: what an allocator kept from before would hide the difference."""
    count = 1000 if settings.quick else 10000
    samples: dict[str, list[float]] = {who: [] for who in WHO}
    for who in brokers.available(("ours", "peer")):
        broker = brokers.start(who, [])
        try:
            time.sleep(0.5)
            command = ["idle", "-n", str(count), "-c", "200", "--hold", "0.5" if settings.quick else "2"]
            result = brokers.load(broker, command + (["--sub"] if subscribed else []))
            if result["up"] != count:
                raise BenchError(f"{who} holds {result['up']:.0f} of {count} idle connections")
            samples[who].append(result["rss_B_per_conn"])
        finally:
            broker.stop()
    name = "idle connection" + (" with one 4-level subscription" if subscribed else "")
    return median_row(name, "bytes, user space", samples)


def run(settings: Settings) -> list[Row]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-bench-"))
    brokers = Brokers(settings, folder)
    loads: list[tuple[str, list[str], list[str]]] = [
        ("fan-in 10 x 100 outstanding", ["fanin", "-P", "10", "-S", "1", "-w", "100"], []),
        ("fan-in 500 x 1 outstanding", ["fanin", "-P", "500", "-S", "1", "-w", "1"], []),
        ("fan-out 1 -> 100", ["fanout", "-S", "100", "-w", "10"], []),
        ("200 pairs x 1 outstanding", ["pairs", "-P", "200", "-w", "1"], ["--pairs"]),
    ]
    rows: list[Row] = []
    others: list[Callable[[], Row]] = [
        lambda: connects(brokers, settings),
        lambda: idle(brokers, settings, False),
        lambda: idle(brokers, settings, True),
    ]
    try:
        for name, arguments, bare in loads:
            for qos in (0, 1):
                rows.append(traffic(brokers, settings, name, arguments, bare, qos))
        rows += [measure() for measure in others]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        shutil.rmtree(folder, ignore_errors=True)
    print_table("broker", rows, "mosquitto", "bare loop")
    return rows
