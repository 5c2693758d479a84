"""The programs that are measured: brim-hub (ours), mosquitto (the peer), the bare loop (the limit), each in a folder of its own."""
from __future__ import annotations

import json
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from plant import Process, free_port, wait_for
from rows import BenchError, Settings, program

WHO = ("ours", "peer", "limit")
BROKERS = ("ours", "peer")  # where a bare loop has nothing to compare


@dataclass(frozen=True)
class Kind:
    """How a broker is set up."""

    tls: bool = False
    durable: bool = False  # mosquitto keeps sessions in a file; ours always does
    loops: int = 1  # of ours
    bare: tuple[str, ...] = ("forward",)  # arguments of the bare loop


@dataclass
class Broker:
    who: str
    port: int
    process: Process

    @property
    def pid(self) -> int:
        return self.process.popen.pid

    def rss_kb(self) -> float:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return float(line.split()[1])
        raise BenchError(f"{self.who} has no memory to read")

    def settle(self) -> None:
        """Until its memory is what it is at rest: ours gives back what only the start needed a second after it."""
        time.sleep(2)
        before = -1.0
        while before != (before := self.rss_kb()):
            time.sleep(1)

    def stop(self) -> None:
        self.process.kill(signal.SIGTERM)


def make_certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """ECDSA P-256, for both brokers."""
    certificate, key = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"openssl makes no certificate: {done.stderr.strip()}")
    return certificate, key


class Brokers:
    def __init__(self, settings: Settings, folder: pathlib.Path) -> None:
        self.hub = program(settings.build, "brim-hub")
        self.edge = program(settings.build, "brim-edge")
        self.bench = program(settings.build, "mqtt_bench")
        self.mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        self.folder = folder
        self.certificate, self.key = make_certificate(folder)
        self.started = 0
        if self.mosquitto is None:
            print("mosquitto is not installed: no peer figures")

    def available(self, wanted: tuple[str, ...]) -> list[str]:
        return [who for who in wanted if who != "peer" or self.mosquitto is not None]

    def listener(self, port: int, kind: Kind) -> str:
        text = f'[[listener]]\nprotocol = "{"mqtts" if kind.tls else "mqtt"}"\naddress = "127.0.0.1:{port}"\nauth = "unsafe-anonymous"\n'
        return text + (f'cert_file = "{self.certificate}"\nkey_file = "{self.key}"\n' if kind.tls else "")

    def hub_command(self, port: int, folder: pathlib.Path, kind: Kind) -> list[str]:
        config = folder / "hub.toml"
        config.write_text(f'[hub]\ndata_dir = "{folder}/data"\ntransport_loops = {kind.loops - 1}\n' + self.listener(port, kind))
        return [self.hub, "run", "--config", str(config)]

    def edge_command(self, port: int, folder: pathlib.Path) -> list[str]:
        """An edge whose hub is away; the programs' own sockets stay in the folder."""
        secret, config = folder / "secret", folder / "edge.toml"
        secret.write_text("0123456789abcdef")
        secret.chmod(0o600)
        config.write_text(
            f'[edge]\ndata_dir = "{folder}/data"\n'
            f'[identity]\nproduct_key = "bench"\ndevice_name = "edge-1"\ndevice_secret = "file:{secret}"\n'
            f'[uplink]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
            f'[bus]\nsocket = "unix:{folder}/bus.sock"\n[http]\nlisten = "unix:{folder}/status.sock"\n' + self.listener(port, Kind())
        )
        return [self.edge, "run", "--config", str(config)]

    def mosquitto_command(self, port: int, folder: pathlib.Path, kind: Kind) -> list[str]:
        assert self.mosquitto
        config = folder / "mosquitto.conf"
        text = f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\nset_tcp_nodelay true\nuser root\n"
        # No limit: with one, 2.0.11 leaves what is beyond it undelivered for good while later messages pass.
        text += "max_inflight_messages 0\nmax_queued_messages 10000\n"
        text += f"persistence true\npersistence_location {folder}/\n" if kind.durable else "persistence false\n"
        if kind.tls:
            text += f"certfile {self.certificate}\nkeyfile {self.key}\n"
        config.write_text(text)
        return [self.mosquitto, "-c", str(config)]

    def start(self, who: str, kind: Kind = Kind()) -> Broker:
        """`who` is one of WHO, or "edge"."""
        self.started += 1
        folder = self.folder / f"{self.started}-{who}"
        folder.mkdir()
        port = free_port()
        if who == "ours":
            command = self.hub_command(port, folder, kind)
        elif who == "edge":
            command = self.edge_command(port, folder)
        elif who == "peer":
            command = self.mosquitto_command(port, folder, kind)
        else:
            command = [self.bench, *kind.bare, "-p", str(port)]
        process = Process(who, command, folder / "log")

        def up() -> bool:
            process.check()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(f"{who} listens on {port}", 20, up)
        return Broker(who, port, process)

    def load(self, broker: Broker, arguments: list[str]) -> dict[str, Any]:
        result = self.run([*arguments, "-p", str(broker.port), "--pid", str(broker.pid), "--label", broker.who], broker.who)
        broker.process.check()
        return result

    def run(self, arguments: list[str], against: str) -> dict[str, Any]:
        done = subprocess.run([self.bench, *arguments], capture_output=True, text=True, timeout=400, check=False)
        if done.returncode != 0:
            raise BenchError(f"mqtt_bench {' '.join(arguments)} against {against}: {done.stderr.strip()}")
        return dict(json.loads(done.stdout))
