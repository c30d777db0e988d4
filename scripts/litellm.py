"""Installs and runs LiteLLM for the tests. Called by scripts/litellm, which has the usage."""

import os
import sys

from loopback import ROOT, Server


class LiteLLM(Server):
    name = "litellm"
    endpoint_variable = "MCP_BATCH_TEST_LITELLM"
    health_path = "/health/liveliness"
    # It imports for seconds, and longer on a busy machine.
    patience_seconds = 180

    def command(self, home, endpoint):
        port = endpoint.rpartition(":")[2]
        config = os.environ.get("LITELLM_CONFIG", ROOT / "litellm" / "litellm-config.yaml")
        # Not as a module: this folder has one of that name.
        return [home / "bin" / "litellm", "--config", config, "--host", "127.0.0.1", "--port", port]

    def environment(self, endpoint, scratch):
        return os.environ | {
            # It asks nobody outside for anything.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOCAL_BLOG_POSTS": "True",
            "LITELLM_LOCAL_POLICY_TEMPLATES": "true",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_LOG": "ERROR",
            "NO_DOCS": "True",
            "DISABLE_ADMIN_UI": "True",
            "HOME": scratch,
            "TMPDIR": scratch,
        }


if __name__ == "__main__":
    LiteLLM(__file__).main(sys.argv[1:])
