"""A headquarters and a branch with one line between them, as network namespaces of this machine, and the programs in them."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
HQ, NEAR = "10.213.1.1", "10.213.1.254"
BRANCH, FAR = "10.213.2.1", "10.213.2.254"
WAIT_SECONDS_MAX = 30
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

    def headquarters(self, port=8000):
        """The log of what arrived from it, as a list of pairs when it is called."""
        path = f"{self.directory}/arrived-{port}"
        command = [sys.executable, f"{HERE}/headquarters.py", HQ, str(port), path]
        child = self.start("hq", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        return lambda: [json.loads(line) for line in open(path)]

    def proxy(self, upstream):
        """The proxy, with what is written below `[[upstream]]`."""
        config = f"{self.directory}/proxy.toml"
        with open(config, "w") as file:
            file.write(
                'listen = ["127.0.0.1:8080"]\nadmin = "127.0.0.1:8081"\n[cache]\n'
                f'dir = "{self.directory}/cache"\nmin_free = "1%"\n[serve]\nmax_requesters = 0\n[[upstream]]\nname = "hq"\nurl = "http://{HQ}:8000/"\n{upstream}\n'
            )
        log = open(f"{self.directory}/log", "w")
        child = self.start("branch", [self.program, "--config", config], stdout=log, stderr=log)
        until("the proxy starts", lambda: child.poll() is not None or self.curl("http://127.0.0.1:8081/readyz", wait=True) == 0)
        if child.poll() is not None:
            sys.exit(f"the proxy ended:\n{open(log.name).read()}")
        return child

    def reload(self, child, upstream):
        config = f"{self.directory}/proxy.toml"
        text = open(config).read()
        with open(config, "w") as file:
            file.write(text.split("[[upstream]]")[0] + f'[[upstream]]\nname = "hq"\nurl = "http://{HQ}:8000/"\n{upstream}\n')
        # The child is `ip`, which becomes the proxy.
        child.send_signal(1)

    def curl(self, url, wait=False, at="branch"):
        command = ["curl", "-sSf", "--max-time", "100", "-o", "/dev/null", url]
        child = self.start(at, command, stderr=subprocess.DEVNULL)
        return child.wait() if wait else child


def deviation(samples, kinds, rate, window):
    """Of what arrived, from the first byte to the last but a little, the largest differences from a rate within windows of so many seconds."""
    points = [(at, sum(count for kind, count in total.items() if kinds is None or kind in kinds)) for at, total in samples]
    whole = points[-1][1]
    begin = max(at for at, count in points if count == 0)
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
