"""litmus (Debian) wants to write before it reads: every one of its programs begins with MKCOL. So a small server stands before the proxy and plays the
administrator: what writes it does to the share itself, and everything else it hands to the proxy. The tests that are answered by the proxy and need
nothing but reading must pass."""

import http.client
import http.server
import os
import re
import shutil
import subprocess
import threading
import urllib.parse

# Of those that are named here the answer that counts is the proxy's, or is one of no rights.
MUST_PASS = {
    "basic": ["init", "begin", "options", "put_get", "put_get_utf8_segment", "delete_null", "finish"],
    "copymove": [],
    "props": ["init", "begin", "propfind_invalid", "propfind_invalid2", "propfind_d0", "finish"],
    "locks": ["init", "begin", "options"],
    "http": ["init", "begin", "expect100", "finish"],
}


def front(proxy, share):
    """A server for litmus; its port."""
    address = urllib.parse.urlsplit(proxy)

    class Front(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self):
            try:
                super().handle()
            except OSError:
                pass

        def log_message(self, *_):
            pass

        def path_of(self):
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).removeprefix(address.path)
            assert ".." not in path
            return os.path.join(share, path)

        def body(self):
            if self.headers.get("Expect") == "100-continue" and self.command == "PUT":
                self.send_response_only(100)
                self.end_headers()
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def tell(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_MKCOL(self):
            if self.body():
                return self.tell(415)
            try:
                os.mkdir(self.path_of().rstrip("/"))
            except FileExistsError:
                return self.tell(405)
            except FileNotFoundError:
                return self.tell(409)
            self.tell(201)

        def do_PUT(self):
            body, path = self.body(), self.path_of()
            if not os.path.isdir(os.path.dirname(path.rstrip("/"))) or os.path.isdir(path):
                return self.tell(409)
            status = 204 if os.path.exists(path) else 201
            with open(path, "wb") as file:
                file.write(body)
            self.tell(status)

        def do_DELETE(self):
            path = self.path_of().rstrip("/")
            if not os.path.exists(path) or "#" in self.path:
                return self.tell(404)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
            self.tell(204)

        def hand_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
            connection.request(self.command, self.path, body=body or None, headers=dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_OPTIONS = do_PROPFIND = do_PROPPATCH = do_COPY = do_MOVE = do_LOCK = do_UNLOCK = hand_on

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def results_of(output):
    """Name and result of each test. A warning stands between the two on a line of its own, and each name twice on its line."""
    results, name = [], None
    for line in output.replace("\r", "\n").splitlines():
        if named := re.match(r" *\d+\. (\w+)\.", line):
            name = named.group(1)
        if name and (result := re.search(r"\. (pass|FAIL|SKIPPED)\b", line)):
            results.append((name, result.group(1)))
            name = None
    return results


def run(proxy, share):
    """Prints what passed and what did not; false if something failed that must not."""
    server = front(proxy, share)
    url = f"http://127.0.0.1:{server.server_port}{urllib.parse.urlsplit(proxy).path}"
    good = True
    for suite, must in MUST_PASS.items():
        done = subprocess.run(
            ["litmus", "-k", url], env=dict(os.environ, TESTS=suite), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120, cwd=os.path.dirname(share),
        )
        results = results_of(done.stdout)
        passed = [name for name, result in results if result == "pass"]
        failed = [name for name, result in results if result == "FAIL"]
        missing = [name for name in must if name not in passed]
        print(f"litmus {suite}: passed {', '.join(passed) or 'none'}; failed {', '.join(failed) or 'none'}", flush=True)
        if missing or not results:
            good = False
            print(f"FAILED litmus {suite}: {', '.join(missing) or 'no result'}\n{done.stdout[-3000:]}")
    server.shutdown()
    return good
