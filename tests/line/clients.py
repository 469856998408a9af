"""How fast bytes leave for clients: what is measured of `serve.rate` and `serve.rate_per_client`. All clients take a file that is here already, so that
nothing but these holds them back. They are curl, from addresses of their own at the other end of the line."""

import collections
import re
import shutil
import subprocess
import time

from branch import BRANCH, Branch, Unmeasured, deviation

OFF_MAX = 0.05
SECONDS = 12
#: Within so long after the begin of a trace the tracer has found all threads.
TRACE_SECONDS = 4
WINDOW_SECONDS = 2
#: How curl is told to speak, and what it then says that it spoke.
PLAIN = (f"http://{BRANCH}:8080", [], "1.1")
TLS = (f"https://{BRANCH}:8443", ["-k", "--http1.1"], "1.1")
HTTP2 = (f"https://{BRANCH}:8443", ["-k", "--http2"], "2")
#: Calls by which bytes could leave.
SENDS = "sendfile,splice,write,writev,pwrite64,sendto,sendmsg,sendmmsg"


def megabits(rate):
    return rate * 1e6 / 8


def begin(branch, how, serve, rate):
    """The proxy, with a file in it that nobody takes to its end, and the URL of that. It is fetched while nothing holds it back."""
    base, options, version = how
    name = f"d?{int(megabits(rate) * SECONDS * 2)}"
    proxy = branch.proxy()
    if branch.curl(f"http://127.0.0.1:8080/{name}", wait=True):
        raise RuntimeError("the file was not fetched")
    proxy.terminate()
    proxy.wait()
    proxy = branch.proxy(serve=serve, is_tls=base.startswith("https"))
    ask = ["ip", "netns", "exec", branch.hq, "curl", "-sf", "-I", "-o", "/dev/null", "-w", "%{http_version}", *options, f"{base}/{name}"]
    spoken = subprocess.run(ask, capture_output=True, text=True).stdout
    if spoken != version:
        raise Unmeasured(f"this curl speaks HTTP/{spoken} in place of {version}") if spoken else RuntimeError("the proxy does not answer")
    return proxy, f"{base}/{name}"


def told(samples, expected):
    """What became of the rates expected, of all clients (`None`) or of one."""
    lines, is_good = [], True
    for whom, name, rate in expected:
        least, mean, most = deviation(samples, whom and {whom}, megabits(rate), WINDOW_SECONDS)
        is_held = -OFF_MAX <= least and most <= OFF_MAX
        is_good &= is_held
        lines.append(f"{name} {mean:+.1%} of {rate:g} Mbit/s on average, {least:+.1%} to {most:+.1%} within 2 s")
        if not is_held:
            low, _, high = deviation(samples, whom and {whom}, megabits(rate), WINDOW_SECONDS, skip=WINDOW_SECONDS)
            lines[-1] += f" ({low:+.1%} to {high:+.1%} after the first two)"
    return "; ".join(lines), is_good


def takes(program, how, serve, connections, expected, streams=1):
    """Clients with so many connections each; expected of all together (`None`) or of one of them, by its place, in Mbit/s."""
    with Branch(program) as branch:
        branch.headquarters()
        _, url = begin(branch, how, serve, max(rate for _, rate in expected))
        arrived = branch.watch()
        options = [*how[1], *(["--parallel", "--parallel-immediate"] if streams > 1 else [])]
        addresses = [branch.client(number) for number in range(len(connections))]
        curls = [
            branch.curl(*[url] * streams, at="hq", options=[*options, "--interface", address])
            for address, count in zip(addresses, connections)
            for _ in range(count)
        ]
        time.sleep(SECONDS)
        samples = arrived()
        if any(curl.poll() is not None for curl in curls):
            raise RuntimeError("a client ended before its time")
    named = [(None, "all", rate) if place is None else (addresses[place], f"client {place + 1}", rate) for place, rate in expected]
    return told(samples, named)


def comes_and_goes(program):
    """One client takes all, then another takes a half for a while."""
    with Branch(program) as branch:
        branch.headquarters()
        _, url = begin(branch, PLAIN, 'rate = "40Mbit/s"', 40)
        arrived = branch.watch()
        branch.curl(url, at="hq", options=["--interface", branch.client(0)])
        time.sleep(4)
        other = branch.curl(url, at="hq", options=["--interface", branch.client(1)])
        time.sleep(4)
        other.terminate()
        other.wait()
        time.sleep(4)
        return told(arrived(), [(None, "all", 40)])


def reloads(program):
    """A rate that is changed while a client takes a file."""
    with Branch(program) as branch:
        branch.headquarters()
        proxy, url = begin(branch, PLAIN, 'rate = "40Mbit/s"', 40)
        arrived = branch.watch()
        branch.curl(url, at="hq")
        time.sleep(5)
        branch.reload(proxy, "40Mbit/s", "8Mbit/s")
        time.sleep(7)
        samples = arrived()
    first, last = min(at for at, total in samples if total), samples[-1][0]

    def came(since, until):
        inside = [(at, sum(total.values())) for at, total in samples if since <= at <= until]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]) * 8 / 1e6

    before, after = came(first + 0.5, first + 4), came(last - 5, last)
    return f"{before:.1f} Mbit/s before, {after:.1f} after", abs(before / 40 - 1) <= OFF_MAX and abs(after / 8 - 1) <= OFF_MAX


def by_sendfile(program, serve):
    """By which calls bytes leave, of those that the proxy makes within some seconds."""
    if not shutil.which("strace"):
        raise Unmeasured("no strace")
    with Branch(program) as branch:
        branch.headquarters()
        proxy, url = begin(branch, PLAIN, serve, 40)
        for number in range(2):
            branch.curl(url, at="hq", options=["--interface", branch.client(number)])
        log = f"{branch.directory}/calls"
        trace = subprocess.Popen(["strace", "-f", "-qq", "-e", f"trace={SENDS}", "-o", log, "-p", str(proxy.pid)])
        time.sleep(TRACE_SECONDS)
        trace.terminate()
        trace.wait()
        moved, calls = collections.Counter(), collections.Counter()
        for name, count in re.findall(r"(?:^\d+ +|<\.\.\. )(\w+)(?:\(| resumed).* = (\d+)$", open(log).read(), re.MULTILINE):
            if name not in SENDS.split(","):
                continue
            moved[name] += int(count)
            calls[name] += 1
    whole = sum(moved.values())
    if not whole:
        raise Unmeasured("strace saw nothing leave")
    parts = ", ".join(f"{moved[name] / whole:.2%} by {calls[name]} {name}" for name in sorted(moved, key=moved.get, reverse=True))
    return f"{whole / TRACE_SECONDS * 8 / 1e6:.1f} Mbit/s: {parts}", moved["sendfile"] > 0.99 * whole


TOTAL, EACH = 'rate = "40Mbit/s"', 'rate_per_client = "20Mbit/s"'
MEASUREMENTS = {
    "serve.rate, one client": lambda program: takes(program, PLAIN, TOTAL, [1], [(None, 40)]),
    "serve.rate, three clients, one with four connections": lambda program: takes(program, PLAIN, TOTAL, [1, 1, 4], [(None, 40)]),
    "serve.rate 500 Mbit/s, four clients": lambda program: takes(program, PLAIN, 'rate = "500Mbit/s"', [1, 1, 1, 1], [(None, 500)]),
    "serve.rate 10 Mbit/s, twenty clients": lambda program: takes(program, PLAIN, 'rate = "10Mbit/s"', [1] * 20, [(None, 10)]),
    "serve.rate 2 Mbit/s, twenty clients": lambda program: takes(program, PLAIN, 'rate = "2Mbit/s"', [1] * 20, [(None, 2)]),
    "serve.rate over TLS, three clients": lambda program: takes(program, TLS, TOTAL, [1, 1, 2], [(None, 40)]),
    "serve.rate over HTTP/2, three clients": lambda program: takes(program, HTTP2, TOTAL, [1, 1, 2], [(None, 40)]),
    "serve.rate, a client comes and goes": comes_and_goes,
    "serve.rate taken over by SIGHUP": reloads,
    "serve.rate_per_client, connections 1 and 3": lambda program: takes(program, PLAIN, EACH, [1, 3], [(0, 20), (1, 20)]),
    "serve.rate_per_client over TLS, connections 1 and 3": lambda program: takes(program, TLS, EACH, [1, 3], [(0, 20), (1, 20)]),
    "serve.rate_per_client over HTTP/2, connections 1 and 3": lambda program: takes(program, HTTP2, EACH, [1, 3], [(0, 20), (1, 20)]),
    "serve.rate_per_client over HTTP/2, four streams": lambda program: takes(program, HTTP2, EACH, [1], [(0, 20)], streams=4),
    # Four connections have a fourth of the whole each, and three of them a third of what is their client's.
    "serve.rate and rate_per_client, connections 1 and 3": lambda program: takes(
        program, PLAIN, f'{TOTAL}\nrate_per_client = "15Mbit/s"', [1, 3], [(0, 10), (1, 15)]
    ),
    "by sendfile, no rate": lambda program: by_sendfile(program, ""),
    "by sendfile, with serve.rate": lambda program: by_sendfile(program, TOTAL),
}
