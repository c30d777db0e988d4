"""What the end-to-end proofs share: where things are, running commands, waiting, and a loopback AWS."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
PATIENCE_S = 120

sys.path.insert(0, str(ROOT / "scripts"))
import ministack  # noqa: E402

from wire import Wire  # noqa: E402


def in_ministacks_python(script):
    """Goes on under the Python of MiniStack, which has an AWS client."""
    python = ministack.ensure()
    if pathlib.Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), script, *sys.argv[1:]])


@contextlib.contextmanager
def loopback_aws():
    """A server of its own that enforces roles, behind a wire that sees all; yields the wire."""
    with Wire() as wire, tempfile.TemporaryDirectory(prefix="mcp-batch-e2e-", ignore_cleanup_errors=True) as scratch:
        # The functions it runs take the same way.
        variables = {"AUTH": "true", "AWS_ENDPOINT_URL": wire.url}
        with ministack.started(ministack.ensure(), scratch, variables) as wire.upstream:
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
