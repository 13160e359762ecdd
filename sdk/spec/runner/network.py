"""What is between an SDK and the deployment, and what the deployment calls: each fails as a scenario says."""

import http.server
import json
import queue
import socket
import threading
import urllib.parse


class Network:
    """Passes TCP connections on to the deployment, as far as it is told to."""

    def __init__(self, url):
        self.target = urllib.parse.urlsplit(url)
        self.lock = threading.Lock()
        self.connections = set()
        self.down = self.mute = False
        self.refusals = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.url = f"{self.target.scheme}://127.0.0.1:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def act(self, what, count=1):
        """cut: every connection breaks. down, up: and so does each new one, until it is up. mute: nothing that the server sends arrives, until
        it is up. refuse: the next ones break."""
        with self.lock:
            if what == "refuse":
                self.refusals = count
            elif what == "mute":
                self.mute = True
            elif what in ("cut", "down", "up"):
                self.down = what == "down"
                self.mute = False
            else:
                raise ValueError(what)
            broken = [] if what == "mute" else list(self.connections)
        for connection in broken:
            _close(connection)

    def close(self):
        self.listener.close()
        self.act("cut")

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                refused = self.down or self.refusals > 0
                self.refusals = max(self.refusals - 1, 0)
            if refused:
                client.close()
                continue
            try:
                server = socket.create_connection((self.target.hostname, self.target.port), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source, sink, from_server):
        try:
            while data := source.recv(65536):
                if not (from_server and self.mute):
                    sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.connections -= {source, sink}
        _close(source)
        _close(sink)


def _close(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class Receiver:
    """A webhook endpoint, and a callback_url. `received` has each request: its headers, and its body as text and as JSON."""

    def __init__(self):
        received = self.received = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(204)
                self.end_headers()
                received.put({"headers": headers, "body": body, "json": json.loads(body)})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
