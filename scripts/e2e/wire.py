"""A proxy in front of the loopback AWS: what ends TLS on AWS, and sees every call on the wire.

It tells the server that requests came by TLS, which policies ask for, and keeps what each function called: the SDK's user agent
names the function (AWS_SDK_UA_APP_ID).
"""

import http.client
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
BATCHES = {
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "DeleteMessageBatch": "DeleteMessage",
    "SendMessageBatch": "SendMessage",
}
OBJECTS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


class Wire:
    def __init__(self):
        self.upstream, self.calls, self.refused, self.lock = None, {}, [], threading.Lock()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                wire.pass_on(self)

            do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = pass_on

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def pass_on(self, request):
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        # Signed clients mean the host they were told.
        headers += [("Host", request.headers["host"]), ("x-forwarded-proto", "https"), ("Content-Length", str(len(body)))]
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.upstream).netloc, timeout=120)
        connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.note(request, answer.status, content)
        request.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                request.send_header(name, value)
        length = answer.headers.get("content-length", "0") if request.command == "HEAD" else str(len(content))
        request.send_header("content-length", length)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def note(self, request, status, content):
        function = re.search(r"\bapp/([\w-]+)", request.headers.get("user-agent", ""))
        if not function:
            return
        action = action_of(request)
        with self.lock:
            self.calls.setdefault(function[1], set()).add(action)
            if status == 403 or b"AccessDenied" in content:
                self.refused.append(f"{function[1]}: {action}: {content[:300]!r}")


def action_of(request):
    """The action of IAM that a request needs."""
    service = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers.get("authorization", ""))
    service = service[1] if service else "unsigned"
    if service == "s3":
        return f"s3:{OBJECTS.get(request.command, request.command)}"
    operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
    return f"{service}:{BATCHES.get(operation, operation)}"
