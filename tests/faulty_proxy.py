"""A proxy before an MLflow server that is slow, answers 500, never answers, or is gone, as a test asks."""

import http.client
import http.server
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

Fault = Literal["", "slow", "500", "hang", "gone", "answer lost"]
SLOW_SECONDS = 1.5


class Proxy:
    """Passes requests on to a port. `fault` is what it does instead; `watch` sees the path of every request first."""

    def __init__(self, port: int) -> None:
        self.fault: Fault = ""
        self.watch: Callable[[str], None] = lambda path: None
        self.requests: list[str] = []
        self.released = threading.Event()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = self.path.partition("?")[0].partition("/mlflow/")[2]
                proxy.requests.append(path)
                proxy.watch(path)
                fault = proxy.fault
                if fault == "slow":
                    time.sleep(SLOW_SECONDS)
                elif fault == "hang":
                    proxy.released.wait(120)
                if fault in ("hang", "gone"):
                    self.close_connection = True
                    return
                status, headers, content = (500, [], b"oops") if fault == "500" else proxy.pass_on(port, self, body)
                if fault == "answer lost":
                    self.close_connection = True
                    return
                with suppress(ConnectionError):  # the client has lost patience
                    self.send_response(status)
                    for name, value in headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names are those of http.server

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def pass_on(
        self, port: int, request: http.server.BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        try:
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            return 502, [], b"bad gateway"
        finally:
            connection.close()
        kept = ("content-type",)
        return answer.status, [pair for pair in answer.getheaders() if pair[0].lower() in kept], content

    def mend(self) -> None:
        """From now on it passes everything on; requests that hang are dropped."""
        self.fault = ""
        self.released.set()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
