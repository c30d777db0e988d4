"""Installs and runs moto's server for the tests. Called by scripts/moto, which has the usage."""

import os
import sys

from loopback import Server

# One request after another: moto undoes a transaction by putting the whole table back as it was before, with what
# others wrote meanwhile undone as well.
SERVER = """
import sys, threading
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app, run_simple

answer, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

def answer_alone(*request):
    with turn:
        return answer(*request)

run_simple("127.0.0.1", int(sys.argv[1]), answer_alone, threaded=True, request_handler=MotoRequestHandler)
"""


class Moto(Server):
    name = "moto"
    endpoint_variable = "MCP_BATCH_TEST_AWS_ENDPOINT"
    health_path = "/moto-api/data.json"

    def command(self, home, endpoint):
        # Isolated: this folder has a module of its name.
        return [home / "bin" / "python", "-I", "-c", SERVER, endpoint.rpartition(":")[2]]

    def environment(self, endpoint, scratch):
        return os.environ | {"TMPDIR": scratch, "HOME": scratch}


if __name__ == "__main__":
    Moto(__file__).main(sys.argv[1:])
