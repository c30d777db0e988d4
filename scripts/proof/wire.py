"""A proxy in front of the loopback AWS: what ends TLS on AWS, and sees every call on the wire.

It tells the server that requests came by TLS, which policies ask for, and keeps what each function called: the SDK's user agent
names the function (AWS_SDK_UA_APP_ID).
"""

import http.client
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# That of the emulator.
ACCOUNT = "000000000000"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
BATCHES = {
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "DeleteMessageBatch": "DeleteMessage",
    "SendMessageBatch": "SendMessage",
}
# The name in a request's body to the ARN.
ARNS = {
    "QueueUrl": lambda region, named: f"arn:aws:sqs:{region}:{ACCOUNT}:{named['QueueUrl'].rpartition('/')[2]}",
    "IndexName": lambda region, named: f"{table(region, named['TableName'])}/index/{named['IndexName']}",
    "TableName": lambda region, named: table(region, named["TableName"]),
    "RequestItems": lambda region, named: table(region, next(iter(named["RequestItems"]))),
    "SecretId": lambda region, named: named["SecretId"],
}
TRANSACTED = {"ConditionCheck": "ConditionCheckItem", "Delete": "DeleteItem", "Put": "PutItem", "Update": "UpdateItem"}
OBJECTS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


def table(region, name):
    return f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"


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
        self.note(request, body, answer.status, content)
        request.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                request.send_header(name, value)
        length = answer.headers.get("content-length", "0") if request.command == "HEAD" else str(len(content))
        request.send_header("content-length", length)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def note(self, request, body, status, content):
        function = re.search(r"\bapp/([\w-]+)", request.headers.get("user-agent", ""))
        if not function:
            return
        for action, arn in accesses_of(request, body):
            with self.lock:
                self.calls.setdefault(function[1], set()).add((action, arn))
        if status == 403 or b"AccessDenied" in content:
            self.refused.append(f"{function[1]}: {request.headers.get('x-amz-target')}: {content[:300]!r}")


def accesses_of(request, body):
    """The actions of IAM that a request needs, each with the ARN of what it is needed for."""
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", request.headers.get("authorization", ""))
    region, service = scope.groups() if scope else ("", "unsigned")
    if service == "s3":
        path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path)
        return [(f"s3:{OBJECTS.get(request.command, request.command)}", f"arn:aws:s3:::{path.removeprefix('/')}")]
    operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
    named = json.loads(body or b"{}")
    if operation == "TransactWriteItems":
        # A transaction needs what its parts need.
        parts = [(kind, part) for item in named["TransactItems"] for kind, part in item.items()]
        return [(f"dynamodb:{TRANSACTED[kind]}", table(region, part["TableName"])) for kind, part in parts]
    arn = next((make(region, named) for key, make in ARNS.items() if key in named), "*")
    return [(f"{service}:{BATCHES.get(operation, operation)}", arn)]
