"""The line to headquarters: a relay that counts the bytes of both directions and is no faster than a line is."""

import socket
import threading
import time

# Slow enough that two clients who start together meet in one fetch.
BYTES_PER_SECOND = 40_000_000
PIECE = 64 << 10


class Line:
    """Listens on a port of its own for one server behind it."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.down = self.up = self.connections = 0
        self.lock = threading.Lock()
        self.free_at = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            with self.lock:
                self.connections += 1
            server = socket.create_connection(self.target)
            for args in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=args, daemon=True).start()

    def _pump(self, source, sink, is_down):
        try:
            while piece := source.recv(PIECE):
                with self.lock:
                    if is_down:
                        self.down += len(piece)
                        now = time.monotonic()
                        self.free_at = max(self.free_at, now) + len(piece) / BYTES_PER_SECOND
                        wait = self.free_at - now
                    else:
                        self.up += len(piece)
                        wait = 0
                if wait > 0.002:
                    time.sleep(wait)
                sink.sendall(piece)
        except OSError:
            pass
        for end, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
            try:
                end.shutdown(how)
            except OSError:
                pass
