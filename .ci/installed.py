"""Builds the wheel, installs it in a fresh environment, and does what a user does, far from the source tree.

Run with the tree's own python, which has the build's requirements. Ends with 1 and the reason when anything is not so.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
START_TIMEOUT_S = 60


def main() -> None:
    """Every step; the first that fails ends it."""
    with tempfile.TemporaryDirectory(prefix="hubbub-installed-") as name:
        directory = Path(name)
        wheel = build(directory)
        look_into(wheel)
        install(directory, wheel)
        use(directory)
    print("the installed command serves")


def run(*command: str | Path, cwd: Path, timeout_s: float = 600) -> str:
    """A command's output; ends everything when it fails."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        sys.exit(
            f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


UI = ROOT / "broker" / "management" / "ui"


def build(directory: Path) -> Path:
    """The wheel of this tree. What was compiled is used again; anything else of an earlier build must not get in."""
    for left in ROOT.glob("build/lib*/**/*"):
        if left.is_file() and left.suffix != ".so":
            left.unlink()
    started = time.monotonic()
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", directory, ROOT, cwd=ROOT)
    (wheel,) = directory.glob("hubbub-*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size >> 10} KiB in {time.monotonic() - started:.0f} s")
    return wheel


def look_into(wheel: Path) -> None:
    """Whatever users and their type checkers need is there, and nothing else."""
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    check(packages == {"broker", "storage"}, f"packages: {packages}")
    wanted = [
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".pyi", ".pxd", ".pyx"}
        or path.name == "py.typed"
        or (UI in path.parents and path.is_file())
    ]
    check(not (missing := sorted(set(wanted) - names)), f"not in the wheel: {missing}")
    left = [name for name in names - set(wanted) if name.endswith((".c", ".o", ".html"))]
    check(not left, f"left over: {left}")
    compiled = {re.sub(r"\.[^/]*\.so$", "", name) for name in names if name.endswith(".so")}
    sources = {name.removesuffix(".pyx") for name in wanted if name.endswith(".pyx")}
    check(sources <= compiled, f"not compiled: {sorted(sources - compiled)}")
    print(f"{len(names)} files, {len(compiled)} compiled modules")


def install(directory: Path, wheel: Path) -> None:
    """A fresh environment with the wheel and a client."""
    run(sys.executable, "-m", "venv", "environment", cwd=directory)
    run("environment/bin/pip", "install", "--quiet", wheel, "pika", cwd=directory)


def use(directory: Path) -> None:
    """`hubbub serve` and the README's script, from a directory of their own."""
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    binaries = directory / "environment" / "bin"
    check("hubbub, version" in run(binaries / "hubbub", "--version", cwd=elsewhere), "no version")
    port = free_port()
    settings = (
        f"amqp.address={HOST}",
        f"amqp.port={port}",
        "management.port=null",
        "metrics.port=null",
        "websocket.port=null",
        "mqtt.port=null",
    )
    command = [binaries / "hubbub", "serve", *(part for each in settings for part in ("--set", each))]
    log = directory / "log"
    with log.open("wb") as output, subprocess.Popen(command, cwd=elsewhere, stdout=output, stderr=output) as server:
        try:
            wait_until_ready(server, log)
            script = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
            assert script is not None
            said = run(binaries / "python", "-c", script.group(1).replace(":5672/", f":{port}/"), cwd=elsewhere)
            check(said == "b'hello'\n", f"the README's script said {said!r}")
            server.send_signal(signal.SIGTERM)
            check(server.wait(30) == 0, f"SIGTERM: {server.returncode}\n{log.read_text()}")
        finally:
            server.kill()
    check((elsewhere / "data" / "data.mdb").is_file(), "no data directory")
    inspected = run(binaries / "python", "-m", "storage.inspect", "data", cwd=elsewhere)
    check("1 queue" in inspected, inspected)


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the start-up summary is there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while "is ready" not in log.read_text():
        check(server.poll() is None and time.monotonic() < deadline, f"it does not start:\n{log.read_text()}")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody held a moment ago."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def check(holds: bool, text: str) -> None:
    """Ends with `text` where something does not hold."""
    if not holds:
        sys.exit(text)


if __name__ == "__main__":
    main()
