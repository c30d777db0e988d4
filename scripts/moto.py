"""Installs and runs moto's server for the tests. Called by scripts/moto, which has the usage."""

import os
import sys

from loopback import Server


class Moto(Server):
    name = "moto"
    endpoint_variable = "MCP_BATCH_TEST_AWS_ENDPOINT"
    health_path = "/moto-api/data.json"

    def command(self, home, endpoint):
        # Not as a module: this folder has one of that name.
        return [home / "bin" / "moto_server", "-H", "127.0.0.1", "-p", endpoint.rpartition(":")[2]]

    def environment(self, endpoint, scratch):
        return os.environ | {"TMPDIR": scratch, "HOME": scratch}


if __name__ == "__main__":
    Moto(__file__).main(sys.argv[1:])
