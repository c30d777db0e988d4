"""Sends callbacks to receivers that verify them by public libraries. scripts/e2e/webhooks calls it."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RECIPE = ["requirements.txt", "package.json", "package-lock.json"]
# What serialisers do differently: digits, escapes, scripts, an empty object.
TEXTS = ["Plain.", "Zwölf Boxkämpfer – „quoted“ \u2028 \U0001f600.", "\"\\\t</script>", "1.0 and 1e400."]


def main(only_install=False):
    home = install()
    if only_install:
        return
    binary = pathlib.Path(os.environ["MCP_BATCH_BINARY"]).absolute()
    old, new = secret(binary), secret(binary)
    python = [home / "bin" / "python", HERE / "receiver.py"]
    node = ["node", HERE / "receiver.mjs"]
    with tempfile.TemporaryDirectory(prefix="mcp-batch-e2e-") as folder:
        # Each knows one of the two that sign: a rotation half-way.
        with receiver(python, old, home) as by_python, receiver(node, new, home) as by_node:
            jobs = pathlib.Path(folder, "jobs.jsonl")
            jobs.write_text("\n".join([*lines("python", by_python), *lines("node", by_node)]))
            settings = {
                "MCP_BATCH_CALLBACK_SECRETS": f"{new} {old}",
                "MCP_BATCH_CALLBACK_HOSTS": "127.0.0.1",
            }
            run = [binary, "run", jobs, "--offline", "--json"]
            subprocess.run(run, cwd=folder, env=os.environ | settings, check=True)
            for name, verifier in [("python", by_python), ("node", by_node)]:
                told = [json.loads(verifier.stdout.readline()) for _ in TEXTS]
                bad = [one for one in told if not one["genuine"] or one["forged"]]
                if bad or len({one["id"] for one in told}) != len(TEXTS):
                    sys.exit(f"webhooks: the library of {name} says {told}")
                print(f"webhooks: the library of {name} verified {len(told)} callbacks, and no forged one")


def lines(name, verifier):
    for number, text in enumerate(TEXTS):
        job = {
            "id": f"{name}.{number}",
            "tool": "summarize",
            "input": {"text": text},
            "callback": verifier.url,
            "metadata": {"text": text, "float": 1.0, "large": 12345678901234567890, "empty": {}},
        }
        yield json.dumps(job)


def secret(binary):
    made = subprocess.run([binary, "secret", "new", "--json"], capture_output=True, check=True)
    return json.loads(made.stdout)["secret"]


@contextlib.contextmanager
def receiver(command, secret, home):
    environment = os.environ | {"SECRET": secret, "LIBRARY": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.url = process.stdout.readline().strip()
            yield process
        finally:
            process.kill()


def install():
    """Installs both libraries once for each version of their lists, and returns where."""
    recipe = b"".join((HERE / name).read_bytes() for name in RECIPE)
    home = target() / f"webhooks-{hashlib.sha256(recipe).hexdigest()[:12]}"
    stamp = home / "installed"
    if stamp.exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    wheels = ["--only-binary=:all:", "--require-hashes", "-r", HERE / "requirements.txt"]
    subprocess.run([*pip, *wheels], check=True)
    for name in ["package.json", "package-lock.json"]:
        shutil.copy(HERE / name, home)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(npm, cwd=home, check=True)
    stamp.touch()
    return home


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()


if __name__ == "__main__":
    main(only_install=sys.argv[1:] == ["install"])
