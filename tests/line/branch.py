"""A headquarters and a branch with one line between them, as network namespaces of this machine, and the programs in them."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HQ, NEAR = "10.213.1.1", "10.213.1.254"
BRANCH, FAR = "10.213.2.1", "10.213.2.254"
WAIT_SECONDS_MAX = 30
#: How often what left for clients is looked at.
LOOK_SECONDS = 0.05
#: How an exit says that a machine cannot do this, which is no failure and no success (EX_UNAVAILABLE).
UNAVAILABLE = 69


def sh(command):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def until(what, is_so):
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > WAIT_SECONDS_MAX:
            raise RuntimeError(f"in vain: {what}")
        time.sleep(0.02)


def can(command):
    return subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


class Unmeasured(Exception):
    """Something that this machine does not have, so that nothing can be said."""


class Branch:
    """`line` is what `tc qdisc` is told of both ends, such as `tbf rate 20mbit burst 16kb latency 300ms`; without it the line is as fast as the machine."""

    def __init__(self, program, line=None, log=print):
        self.program, self.line, self.log = program, line, log
        self.hq, self.branch, self.router = (f"outpost-{what}-{os.getpid()}" for what in ("hq", "br", "rt"))
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            return self.begin()
        except BaseException:
            self.stack.close()
            raise

    def __exit__(self, *failure):
        self.stack.close()

    def begin(self):
        for name in (self.hq, self.router, self.branch):
            if not can(f"ip netns add {name}"):
                print("no network namespace can be made here (as root, with the package iproute2): nothing was measured", file=sys.stderr)
                sys.exit(UNAVAILABLE)
            self.stack.callback(can, f"ip netns del {name}")
        # The thin line begins behind a router: a sender that has the queue in its own kernel keeps it short by itself.
        self.link(self.hq, "hq", HQ, NEAR)
        self.link(self.branch, "branch", BRANCH, FAR)
        sh(f"ip netns exec {self.router} sysctl -qw net.ipv4.ip_forward=1")
        for link in ("hq", "branch"):
            if self.line and not can(f"ip netns exec {self.router} tc qdisc add dev {link} root {self.line}"):
                print(f"this kernel has no `{self.line.split()[0]}` to make a thin line with: nothing was measured", file=sys.stderr)
                sys.exit(UNAVAILABLE)
        # Others fill the queue, as most downloads do over a way that is not as short as this one; the machine may have other defaults.
        sh(f"ip netns exec {self.branch} sysctl -qw net.ipv4.tcp_rmem=\"4096 4000000 8000000\"")
        sh(f"ip netns exec {self.hq} sysctl -qw net.ipv4.tcp_congestion_control=reno")
        self.directory = tempfile.mkdtemp(prefix="outpost-line-")
        self.stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        return self

    def link(self, name, link, address, gateway):
        sh(f"ip link add line0 netns {name} type veth peer name {link} netns {self.router}")
        sh(f"ip -n {name} addr add {address}/24 dev line0; ip -n {name} link set line0 up; ip -n {name} link set lo up")
        sh(f"ip -n {self.router} addr add {gateway}/24 dev {link}; ip -n {self.router} link set {link} up")
        sh(f"ip -n {name} route add default via {gateway}")

    def start(self, name, command, **options):
        """A program in one of the two, which ends with this."""
        space = self.hq if name == "hq" else self.branch
        child = subprocess.Popen(["ip", "netns", "exec", space, *command], **options)

        def end():
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

        self.stack.callback(end)
        return child

    def headquarters(self, port=8000, is_tls=False):
        """The log of what arrived from it, as a list of pairs when it is called."""
        path = f"{self.directory}/arrived-{port}"
        command = [sys.executable, f"{HERE}/headquarters.py", HQ, str(port), path]
        if is_tls:
            command += self.certified()
        child = self.start("hq", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        return lambda: [json.loads(line) for line in open(path)]

    def certified(self):
        """A certificate of the headquarters and its key, signed by an authority of its own."""
        own, key, self.authority, authority_key = (f"{self.directory}/{name}.pem" for name in ("hq", "hq-key", "ca", "ca-key"))
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        by = f"-CA {self.authority} -CAkey {authority_key} -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:{HQ}"
        if not can(f"{make} -subj /CN=ca -keyout {authority_key} -out {self.authority}") or not can(f"{make} -subj /CN=hq {by} -keyout {key} -out {own}"):
            raise Unmeasured("no openssl (3.0 or later) to make certificates with")
        return [own, key]

    def proxy(self, upstream="", url=f"http://{HQ}:8000/", serve="", is_tls=False):
        """The proxy, with what is written below `[[upstream]]` and below `[serve]`."""
        config = f"{self.directory}/proxy.toml"
        tls = f'[tls]\nlisten = ["{BRANCH}:8443"]\nstate_dir = "{self.directory}/tls"\n' if is_tls else ""
        with open(config, "w") as file:
            file.write(
                f'listen = ["127.0.0.1:8080", "{BRANCH}:8080"]\nadmin = "127.0.0.1:8081"\n[cache]\n'
                f'dir = "{self.directory}/cache"\nmin_free = "1%"\n{tls}[serve]\nmax_requesters = 0\n{serve}\n'
                f'[[upstream]]\nname = "hq"\nurl = "{url}"\n{upstream}\n'
            )
        log = open(f"{self.directory}/log", "w")
        child = self.start("branch", [self.program, "--config", config], stdout=log, stderr=log)
        until("the proxy starts", lambda: child.poll() is not None or self.curl("http://127.0.0.1:8081/readyz", wait=True) == 0)
        if child.poll() is not None:
            sys.exit(f"the proxy ended:\n{open(log.name).read()}")
        return child

    def reload(self, child, before, after):
        config = f"{self.directory}/proxy.toml"
        text = open(config).read()
        with open(config, "w") as file:
            file.write(text.replace(before, after))
        # The child is `ip`, which becomes the proxy.
        child.send_signal(1)

    def curl(self, *urls, wait=False, at="branch", options=()):
        command = ["curl", "-sSf", "--max-time", "100", *options]
        for url in urls:
            command += ["-o", "/dev/null", url]
        child = self.start(at, command, stderr=subprocess.DEVNULL)
        return child.wait() if wait else child

    def client(self, number):
        """An address of a client, at the other end of the line."""
        address = f"{HQ.rsplit('.', 1)[0]}.{100 + number}"
        can(f"ip -n {self.hq} addr add {address}/24 dev line0")
        return address

    def watch(self):
        """From now on, what the proxy's kernel knows to have arrived at its clients, by their addresses, as a list of pairs when it is called."""
        samples, is_over, totals = [(time.monotonic(), {})], threading.Event(), {}

        def look():
            command = ["ss", "-N", self.branch, "-tinHO", "sport = :8080 or sport = :8443"]
            while not is_over.wait(LOOK_SECONDS):
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                at = time.monotonic()
                # A connection that has gone stays as it was seen last. Those that wait for others have no such figure.
                totals.update(arrivals(told))
                by_client = {}
                for far, count in totals.items():
                    address = far.rsplit(":", 1)[0]
                    by_client[address] = by_client.get(address, 0) + count
                samples.append((at, by_client))

        thread = threading.Thread(target=look)
        thread.start()

        def end():
            is_over.set()
            thread.join()

        self.stack.callback(end)
        return lambda: list(samples)


def arrivals(told):
    """Of what `ss` says, the other ends and how much has arrived at each."""
    for line in told.splitlines():
        if count := re.search(r" bytes_acked:(\d+)", line):
            yield line.split()[4], int(count[1])


def deviation(samples, kinds, rate, window, skip=0):
    """Of what arrived, from the first byte and so many seconds to the last but a little, the largest differences from a rate within windows of so many
    seconds."""
    points = [(at, sum(count for kind, count in total.items() if kinds is None or kind in kinds)) for at, total in samples]
    whole = points[-1][1]
    begin = max(at for at, count in points if count == 0) + skip
    end = min(at for at, count in points if count >= whole * 0.99) - 0.1
    points = [point for point in points if begin <= point[0] <= end]
    found, last = [], 0
    for at, count in points:
        while last < len(points) and points[last][0] < at + window:
            last += 1
        if last == len(points):
            break
        found.append((points[last][1] - count) / (points[last][0] - at) / rate - 1)
    if not found:
        raise RuntimeError("it was over too soon to say anything")
    mean = (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0]) / rate - 1
    return min(found), mean, max(found)
