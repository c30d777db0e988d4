"""What the scripts that run a Python server for the tests share: a virtual environment under target/, a
free port, waiting until the server is up, and its end with all it started."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Somebody else may take the free port before the server does.
STARTS = 5


class Server:
    """A program from PyPI that listens on the loopback. What differs from one to another is overridden."""

    # Its name, of which files and messages are made.
    name = ""
    # Where a child finds it.
    endpoint_variable = ""
    # What answers 200 once it is up.
    health_path = "/"
    # Longer than a start ever takes, however busy the machine is.
    patience_seconds = 60

    def __init__(self, script):
        self.script = script
        self.requirements = ROOT / "worker" / "testkit" / f"{self.name}.requirements.txt"

    def command(self, home, endpoint):
        raise NotImplementedError

    def environment(self, endpoint, scratch):
        raise NotImplementedError

    def main(self, arguments):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        match arguments:
            case ["ensure"]:
                self.ensure()
            case ["serve"]:
                self.serve()
            case ["run", "--", *command] if command:
                sys.exit(self.run(command))
            case _:
                sys.exit(f"{self.name}: expected `ensure`, `serve` or `run -- CMD...`")

    def run(self, command):
        """Runs a command beside a server that stops with this process, however this one ends."""
        self.ensure()
        serving = [sys.executable, self.script, "serve"]
        with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            endpoint = server.stdout.readline().strip()
            if not endpoint:
                return 1
            try:
                return subprocess.call(command, env=os.environ | {self.endpoint_variable: endpoint})
            finally:
                server.stdin.close()

    def serve(self):
        """Runs a server until stdin is closed: that happens even if the parent is killed."""
        # An interrupt in a terminal reaches the parent too, which then closes stdin.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        home = self.ensure()
        prefix = f"mcp-batch-{self.name}-"
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as scratch:
            with self.started(home, scratch) as endpoint:
                print(endpoint, flush=True)
                sys.stdin.read()

    @contextlib.contextmanager
    def started(self, home, scratch):
        for _ in range(STARTS):
            endpoint = f"http://127.0.0.1:{free_port()}"
            log = pathlib.Path(scratch, "log")
            with log.open("w") as output:
                server = subprocess.Popen(
                    self.command(home, endpoint),
                    env=self.environment(endpoint, scratch),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # A group of its own, so that what it runs ends with it.
                    start_new_session=True,
                )
            try:
                if self.is_up(server, endpoint):
                    yield endpoint
                    return
            finally:
                kill_group(server)
        sys.exit(f"{self.name}: it did not start\n{log.read_text()}")

    def is_up(self, server, endpoint):
        # Proxies of the environment have no business on the loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + self.patience_seconds
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(OSError):
                with opener.open(f"{endpoint}{self.health_path}", timeout=5):
                    return server.poll() is None
            time.sleep(0.02)
        return False

    def ensure(self):
        """Installs it once for each version of its requirements, and returns where it is."""
        home = self.home_folder()
        stamp = home / "installed"
        if stamp.exists():
            return home
        home.parent.mkdir(parents=True, exist_ok=True)
        # One process installs, the others wait. A kernel lock ends with the process that held it.
        with open(f"{home}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stamp.exists():
                self.install(home)
                stamp.touch()
        return home

    def install(self, home):
        print(f"{self.name}: installing it into {home}", file=sys.stderr)
        # A virtual environment can't be moved, so a half-made one is thrown away and made in place.
        shutil.rmtree(home, ignore_errors=True)
        pip = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        try:
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run([*pip, "--only-binary=:all:", "--require-hashes", "-r", self.requirements], check=True)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{self.name}: it could not be installed: {error}")

    def home_folder(self):
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        recipe = hashlib.sha256(self.requirements.read_bytes() + version.encode()).hexdigest()
        return target / f"{self.name}-{recipe[:12]}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def kill_group(server):
    # It keeps nothing that a gentle end would save.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
