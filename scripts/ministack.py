"""Installs and runs MiniStack for the tests. Called by scripts/ministack, which has the usage."""

import os
import sys

from loopback import Server


class MiniStack(Server):
    name = "ministack"
    endpoint_variable = "MCP_BATCH_TEST_AWS_ENDPOINT"
    health_path = "/_ministack/health"

    def command(self, home, endpoint):
        return [home / "bin" / "python", "-m", "ministack"]

    def environment(self, endpoint, scratch):
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


if __name__ == "__main__":
    MiniStack(__file__).main(sys.argv[1:])
