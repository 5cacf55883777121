"""A stand-in of lclstream_api, after its OpenAPI description of July 2026: POST /transfers/, GET and DELETE /transfers/{id}, a bearer
token, errors with a `detail` as FastAPI gives them. Its "job" is a PUSH socket that sends lclstreamer's messages.

What it does is in `script`: how often a transfer is still provisioning, how it ends, what is answered instead.
"""
import http.server
import json
import ssl
import threading
import time
import uuid

import zmq

TOKEN = "eyJhbGciOi.not-a-secret.only-for-tests"


class Transfer:
    def __init__(self, service, body):
        self.service, self.body = service, body
        self.id = str(uuid.uuid4())
        self.state, self.looks, self.address = "provisioning", 0, None
        self.sent = 0

    def look(self):
        self.looks += 1
        script = self.service.script
        if self.state == "provisioning" and self.looks > script.get("provisioning", 1):
            self.state = script.get("instead_of_ready", "ready")
            if self.state == "ready":
                threading.Thread(target=self.send, daemon=True).start()
                while self.address is None:
                    time.sleep(0.001)
        info = None
        if self.address:
            info = {"host": "127.0.0.1", "port": int(self.address.rsplit(":", 1)[1]), "socket": script.get("socket", "pull"),
                    "uri": script.get("uri", self.address)}
        return {"id": self.id, "state": self.state, "cache_mode": "per_transfer", "connection_info": info,
                "created_at": "2026-11-30T12:00:00Z", "experiment": "mfx100852324", "run": "355", "requested_by": "tester"}

    def send(self):
        """As the cache does: what nobody has taken yet waits in it, also when the job is over."""
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            socket.setsockopt(zmq.SNDHWM, 4)
            port = socket.bind_to_random_port("tcp://127.0.0.1")
            self.address = f"tcp://127.0.0.1:{port}"
            for number in range(self.service.script.get("messages", 20)):
                while self.state == "ready":
                    if socket.poll(50, zmq.POLLOUT):
                        socket.send(self.service.message(number))
                        self.sent += 1
                        break
                else:
                    break
            if self.state == "ready" and "then" in self.service.script:
                self.state = self.service.script["then"]
            while self.service.open:
                time.sleep(0.01)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, document):
        blob = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        self.wfile.write(blob)

    def handle_one(self, method):
        service = self.server.service
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        service.calls.append((method, self.path, body.decode()))
        if (method, "status") in service.script:
            status = service.script[(method, "status")]
            return self.answer(status[0] if isinstance(status, tuple) else status, status[1] if isinstance(status, tuple) else {"detail": "as told"})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"detail": "Not authenticated"})
        if not self.path.startswith("/lclstream/transfers/"):
            return self.answer(404, {"detail": "Not Found"})
        name = self.path.rsplit("/", 1)[1]
        if method == "POST":
            return self.create(service, body)
        if name not in service.transfers:
            return self.answer(404, {"detail": "Transfer not found"})
        transfer = service.transfers[name]
        if method == "GET":
            return self.answer(200, transfer.look())
        over = transfer.state in ("canceled", "completed", "failed")
        if not over:
            transfer.state = "canceled"
        return self.answer(200, {"message": "Transfer is already in a final state" if over else "Cancellation requested"})

    def create(self, service, body):
        document = json.loads(body)
        unknown = set(document) - {"parameters", "cache_mode", "consumer_socket", "job_spec_override"}
        source = document.get("parameters", {}).get("source_identifier", "")
        if self.headers.get("Content-Type") != "application/json" or unknown or "exp=" not in source or "run=" not in source:
            return self.answer(422, {"detail": f"Could not determine exp and run of {source!r}; unknown: {sorted(unknown)}"})
        transfer = Transfer(service, document)
        service.transfers[transfer.id] = transfer
        about = transfer.look()
        del about["connection_info"]
        return self.answer(201, about)

    def do_GET(self):
        self.handle_one("GET")

    def do_POST(self):
        self.handle_one("POST")

    def do_DELETE(self):
        self.handle_one("DELETE")

    def log_message(self, *_):
        pass


class Service:
    """At https://localhost:PORT/lclstream with the given certificate, at http://127.0.0.1:PORT/lclstream without."""

    def __init__(self, message, certificate=None, key=None, **script):
        self.message, self.script = message, script
        self.transfers, self.calls, self.open = {}, [], True
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.service = self
        self._server.handle_error = lambda *_: None  # of a client that goes away
        port = self._server.server_port
        self.url = f"http://127.0.0.1:{port}/lclstream"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{port}/lclstream"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def methods(self):
        return [method for method, _, _ in self.calls]

    def close(self):
        self.open = False
        self._server.shutdown()
        self._server.server_close()
