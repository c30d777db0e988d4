"""Installs and runs MiniStack for the tests. Called by scripts/ministack, which has the usage."""

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
REQUIREMENTS = ROOT / "worker" / "testkit" / "ministack.requirements.txt"
ENDPOINT_VARIABLE = "MCP_BATCH_TEST_AWS_ENDPOINT"
# Longer than a start ever takes, however busy the machine is.
PATIENCE_SECONDS = 60
# Somebody else may take the free port before MiniStack does.
STARTS = 5


def main(arguments):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    match arguments:
        case ["ensure"]:
            ensure()
        case ["serve"]:
            serve()
        case ["run", "--", *command] if command:
            sys.exit(run(command))
        case _:
            sys.exit("ministack: expected `ensure`, `serve` or `run -- CMD...`")


def run(command):
    """Runs a command beside a server that stops with this process, however this one ends."""
    ensure()
    serving = [sys.executable, __file__, "serve"]
    with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        endpoint = server.stdout.readline().strip()
        if not endpoint:
            return 1
        try:
            return subprocess.call(command, env=os.environ | {ENDPOINT_VARIABLE: endpoint})
        finally:
            server.stdin.close()


def serve():
    """Runs a server until stdin is closed: that happens even if the parent is killed."""
    # An interrupt in a terminal reaches the parent too, which then closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    python = ensure()
    with tempfile.TemporaryDirectory(prefix="mcp-batch-ministack-", ignore_cleanup_errors=True) as scratch:
        with started(python, scratch) as endpoint:
            print(endpoint, flush=True)
            sys.stdin.read()


@contextlib.contextmanager
def started(python, scratch):
    for _ in range(STARTS):
        endpoint = f"http://127.0.0.1:{free_port()}"
        log = pathlib.Path(scratch, "log")
        with log.open("w") as output:
            server = subprocess.Popen(
                [python, "-m", "ministack"],
                env=environment(endpoint, scratch),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own, so that the functions it runs end with it.
                start_new_session=True,
            )
        try:
            if is_up(server, endpoint):
                yield endpoint
                return
        finally:
            kill_group(server)
    sys.exit(f"ministack: it did not start\n{log.read_text()}")


def environment(endpoint, scratch):
    return os.environ | {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": endpoint.rpartition(":")[2],
        "LOG_LEVEL": "WARNING",
        # What it writes, and what its services call "temporary".
        "TMPDIR": scratch,
        "S3_DATA_DIR": os.path.join(scratch, "s3"),
        "STATE_DIR": os.path.join(scratch, "state"),
        # Listeners on fixed ports, and containers, are none of the tests' business.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{scratch}/no-docker",
        # Handed on to the functions it runs.
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_up(server, endpoint):
    # Proxies of the environment have no business on the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            with opener.open(f"{endpoint}/_ministack/health", timeout=5):
                return server.poll() is None
        time.sleep(0.02)
    return False


def kill_group(server):
    # It keeps nothing that a gentle end would save.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def ensure():
    """Installs MiniStack once for each version of its requirements, and returns its Python."""
    home = home_folder()
    python = home / "bin" / "python"
    stamp = home / "installed"
    if stamp.exists():
        return python
    home.parent.mkdir(parents=True, exist_ok=True)
    # One process installs, the others wait. A kernel lock ends with the process that held it.
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            install(home, python)
            stamp.touch()
    return python


def install(home, python):
    print(f"ministack: installing it into {home}", file=sys.stderr)
    # A virtual environment can't be moved, so a half-made one is thrown away and made in place.
    shutil.rmtree(home, ignore_errors=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    try:
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([*pip, "--only-binary=:all:", "--require-hashes", "-r", REQUIREMENTS], check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"ministack: it could not be installed: {error}")


def home_folder():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    recipe = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()
    return target / f"ministack-{recipe[:12]}"


if __name__ == "__main__":
    main(sys.argv[1:])
