"""A receiver that verifies callbacks by PyPI's standardwebhooks: 204 if one is genuine, 400 if not.

Prints its address, and a line for each callback. The secret comes from SECRET.
"""

import http.server
import json
import os

from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["SECRET"])


def is_genuine(body, headers):
    try:
        return WEBHOOK.verify(body, headers)["data"] is not None
    except WebhookVerificationError:
        return False


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        genuine = is_genuine(body, headers)
        forged = is_genuine(body.replace('"type"', '"Type"'), headers)
        told = {"id": json.loads(body)["data"]["id"], "genuine": genuine, "forged": forged}
        print(json.dumps(told), flush=True)
        self.send_response(204 if genuine else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
