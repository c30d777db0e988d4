"""`mcp-batch serve` for scripts/e2e/http-*: built, started, asked, stopped."""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
KEY = "a-key-of-the-end-to-end-tests"
PATIENCE_SECONDS = 60


@functools.cache
def binaries():
    """Where the binaries are."""
    built = subprocess.run([ROOT / "scripts" / "binaries"], stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(built.stdout.strip())


def build_release():
    """Has the scripts run release binaries, which are as fast as a user's."""
    packages = ["-p", "mcp-batch", "--bin", "mcp-batch", "-p", "mcp-batch-testkit", "--bin", "fake-llm"]
    subprocess.run(["cargo", "build", "--quiet", "--release", *packages], cwd=ROOT, check=True)
    os.environ.setdefault("MCP_BATCH_BINARIES", str(TARGET / "release"))


def npm_ci(recipe, home):
    """Installs what the lock file in `recipe` names into `home`."""
    for name in ["package.json", "package-lock.json"]:
        shutil.copy(recipe / name, home / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=home, stdin=subprocess.DEVNULL, check=True)


def left_out(what, why):
    """Says so and ends, well but under CI=true."""
    print(f"{what}: left out: {why}", file=sys.stderr)
    sys.exit(1 if os.environ.get("CI") == "true" else 0)


def installed(recipe_files, name, install):
    """A folder in target/, named after a hash of its recipe and filled once. Ends, where this is all that was asked for."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in recipe_files)).hexdigest()
    home = TARGET / f"{name}-{digest[:12]}"
    stamp = home / "installed"
    home.parent.mkdir(parents=True, exist_ok=True)
    # One process installs, the others wait.
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            install(home)
            stamp.touch()
    if sys.argv[1:] == ["install"]:
        sys.exit()
    return home


@contextlib.contextmanager
def started(command, says, environment=None):
    """A process that is up once it says `says`, whose first group is handed out."""
    with tempfile.TemporaryDirectory(prefix="mcp-batch-e2e-") as folder:
        log = pathlib.Path(folder, "log")
        names = [name for name in os.environ if not name.startswith(("MCP_BATCH_", "AWS_"))]
        variables = {name: os.environ[name] for name in names} | (environment or {})
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=output)
        try:
            yield process, said(process, log, says)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait()


def said(process, log, says):
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        if match := re.search(says, log.read_text()):
            return match.group(1)
        time.sleep(0.02)
    sys.exit(f"it did not start\n{log.read_text()}")


@contextlib.contextmanager
def serve(*arguments, **variables):
    """The server, with a key that may do everything; its process and its URL."""
    environment = {
        "MCP_BATCH_API_KEYS": f"e2e:default:enqueue+read+call+admin:{KEY}",
        "MCP_BATCH_API_RATE_PER_SECOND": "0",
        "MCP_BATCH_CALLBACK_HOSTS": "127.0.0.1",
    } | variables
    command = [binaries() / "mcp-batch", "serve", "--listen", "127.0.0.1:0", *arguments]
    with started(command, r"Serving (http://\S+) ", environment) as server:
        yield server


@contextlib.contextmanager
def fake_llm(*arguments):
    """An LLM on loopback; the URL of its API."""
    command = [binaries() / "fake-llm", "--port", "0", *arguments]
    with started(command, r"(http://127\.0\.0\.1:\d+/v1)") as (_, url):
        yield url


def ask(url, method="GET", body=None, **headers):
    """One request; status and document."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("authorization", f"Bearer {KEY}")
    if data is not None:
        request.add_header("content-type", "application/json")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def check(holds, what):
    if not holds:
        sys.exit(f"does not hold: {what}")
    print(f"holds: {what}")
