"""What the end-to-end proofs share: where things are, running commands, waiting, and a loopback AWS."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
PATIENCE_S = 120

sys.path.insert(0, str(ROOT / "scripts"))
from loopback import Server  # noqa: E402
from ministack import MiniStack  # noqa: E402
from wire import Wire  # noqa: E402


class StrictAws(MiniStack):
    """A loopback AWS that enforces roles. The functions it runs reach it over the wire."""

    def __init__(self, wire):
        super().__init__(ROOT / "scripts" / "ministack.py")
        self.wire = wire

    def environment(self, endpoint, scratch):
        return super().environment(endpoint, scratch) | {"AUTH": "true", "AWS_ENDPOINT_URL": self.wire.url}


class Tool(Server):
    """A program from PyPI that is no server, installed in the same way."""

    def __init__(self, name):
        super().__init__(None)
        self.name = name
        self.requirements = ROOT / "scripts" / "proof" / f"{name}.requirements.txt"


def needs(program):
    """Ends where it is missing: well, but under CI=true."""
    if not shutil.which(program):
        print(f"{pathlib.Path(sys.argv[0]).name}: left out: no {program} was found", file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") == "true" else 0)


def installs(server):
    """With the argument `install` a script fetches what it needs, and ends."""
    if sys.argv[1:] == ["install"]:
        server.ensure()
        sys.exit()


def in_ministacks_python(script):
    """Goes on under the Python of MiniStack, which has an AWS client."""
    home = MiniStack(ROOT / "scripts" / "ministack.py").ensure()
    if pathlib.Path(sys.prefix) != home:
        python = str(home / "bin" / "python")
        os.execv(python, [python, script, *sys.argv[1:]])


@contextlib.contextmanager
def loopback_aws():
    """A server of its own behind a wire that sees all; yields the wire."""
    with Wire() as wire, tempfile.TemporaryDirectory(prefix="mcp-batch-e2e-", ignore_cleanup_errors=True) as scratch:
        aws = StrictAws(wire)
        with aws.started(aws.ensure(), scratch) as wire.upstream:
            yield wire


def run(command, *, env=None, cwd=ROOT, may_fail=False):
    """Runs a command and returns its output and errors in one; fails loudly, unless it may fail."""
    environment = os.environ | (env or {})
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    if done.returncode != 0 and not may_fail:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))}: status {done.returncode}")
    return done


def waited_for(what, look):
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    sys.exit(f"{PATIENCE_S} s have passed without {what}")


def waited_for_nothing(what, look):
    """Until `look` finds nothing any more; what it found last is told if that does not happen."""
    deadline = time.monotonic() + PATIENCE_S
    while found := look():
        if time.monotonic() > deadline:
            sys.exit(f"{what}, after {PATIENCE_S} s: " + "; ".join(found))
        time.sleep(0.5)


class Proofs:
    """Says what was shown, as it is shown, and how long it took."""

    def __init__(self):
        self.shown = 0
        self.since = time.monotonic()

    def shows(self, sentence):
        now = time.monotonic()
        print(f"ok: {sentence} ({now - self.since:.1f} s)", flush=True)
        self.shown, self.since = self.shown + 1, now

    def end(self):
        print(f"{self.shown} passed, 0 failed", flush=True)


def expect(condition, message):
    if not condition:
        sys.exit(f"failed: {message}")
