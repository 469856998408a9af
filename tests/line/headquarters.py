"""A web server that knows how much of what it sent has arrived, and when: it asks the kernel, so that what only waits in buffers does not count.

    headquarters.py ADDRESS PORT FILE [CERTIFICATE KEY]
        appends a line of JSON to FILE each 20 ms: seconds, and bytes by the first letter of the path. With a certificate it speaks TLS.

`GET /NAME?BYTES` answers with that many bytes, which differ from name to name. It ends when its standard input does."""

import collections
import json
import random
import socket
import ssl
import struct
import sys
import threading
import time

SAMPLE_SECONDS = 0.02
PIECE = 1 << 18
TCP_INFO_BYTES = 200
BYTES_ACKED_AT = 120


class Tally:
    """Bytes that arrived, by the first letter of the path."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ended = collections.Counter()
        self.open = {}

    @staticmethod
    def acknowledged(connection):
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        return struct.unpack_from("=Q", info, BYTES_ACKED_AT)[0]

    def begin(self, connection, kind):
        """From here on what arrives is of this kind. What the kernel still sends counts until then as what it was."""
        self.end(connection)
        with self.lock:
            self.open[connection] = (kind, self.acknowledged(connection))

    def end(self, connection):
        with self.lock:
            kind, before = self.open.pop(connection, (None, 0))
            if kind:
                self.ended[kind] += self.acknowledged(connection) - before

    def now(self):
        with self.lock:
            total = self.ended.copy()
            for connection, (kind, before) in self.open.items():
                total[kind] += self.acknowledged(connection) - before
            return total


def content(name):
    return random.Random(name).randbytes(PIECE)


def serve(connection, tally):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = connection.makefile("rb")
    while request := reader.readline():
        method, target = request.split()[:2]
        fields = {}
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        path, _, query = target.decode().partition("?")
        size = int(query or 0)
        start = 0
        if b"range" in fields:
            start = int(fields[b"range"].removeprefix(b"bytes=").split(b"-")[0])
        status = f"206 Partial Content\r\nContent-Range: bytes {start}-{size - 1}/{size}" if start else "200 OK"
        head = f'HTTP/1.1 {status}\r\nContent-Length: {size - start}\r\nETag: "{path}-{size}"\r\nCache-Control: max-age=3600\r\n\r\n'
        tally.begin(connection, path[1:2])
        connection.sendall(head.encode())
        piece, position = content(path), start
        while method == b"GET" and position < size:
            of_piece = position % PIECE
            sent = piece[of_piece : of_piece + size - position]
            connection.sendall(sent)
            position += len(sent)


def guarded(connection, tally, context):
    try:
        # Those who hang up are an OSError, too.
        connection = context.wrap_socket(connection, server_side=True) if context else connection
        serve(connection, tally)
    except OSError:
        pass
    finally:
        tally.end(connection)
        connection.close()


def sample(tally, path):
    with open(path, "a", buffering=1) as log:
        while True:
            print(json.dumps([time.monotonic(), tally.now()]), file=log)
            time.sleep(SAMPLE_SECONDS)


def main():
    address, port, path, *certified = sys.argv[1:]
    context = None
    if certified:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certified)
    tally = Tally()
    listener = socket.create_server((address, int(port)), backlog=512)

    def accept():
        while True:
            threading.Thread(target=guarded, args=(listener.accept()[0], tally, context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    threading.Thread(target=sample, args=(tally, path), daemon=True).start()
    print("listening", flush=True)
    sys.stdin.read()


main()
