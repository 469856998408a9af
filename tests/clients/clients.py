"""The clients, each with the commands that a person would give. `{url}` is the proxy's address and `{dir}` an empty directory; `client` returns a
function that runs it there and raises what went wrong, and what the content is that it must have got."""

import http.client
import os
import re
import shlex
import subprocess
import urllib.parse

from headquarters import MIB, NAME, VERSION

SECONDS_MAX = 120


class Row:
    """One line of the table."""

    def __init__(self, name, commands, got, source, package=None, check=None, needs_exit=None):
        self.name, self.commands, self.got, self.source = name, commands, got, source
        # What of Debian it needs: a program and its package.
        self.package, self.check = package, check
        # Exit codes that are meant, by the number of the command.
        self.needs_exit = needs_exit or {}

    def shown(self):
        return "; ".join(self.commands) if isinstance(self.commands, list) else self.commands.__doc__

    def run(self, values):
        if callable(self.commands):
            self.commands(values)
        else:
            for number, command in enumerate(self.commands):
                self._command(number, command.format(**values), values)
        for got, source in zip(self.got, self.source):
            got, source = got.format(**values), source.format(**values)
            same = subprocess.run(["diff", "-rq", got, source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if same.returncode != 0:
                raise RuntimeError(f"{self.name}: {same.stdout}")
        if self.check:
            self.check(values)

    def _command(self, number, command, values):
        path = f"{os.path.dirname(values['cargo'])}:{os.environ['PATH']}"
        env = dict(os.environ, PATH=path, HOME=values["dir"], CARGO_HOME=f"{values['dir']}/.cargo", LC_ALL="C.UTF-8")
        env = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(
            ["bash", "-c", command], cwd=values["dir"], env=env, timeout=SECONDS_MAX,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        text = done.stdout.decode(errors="replace")
        open(f"{values['dir']}/output.{number}", "w").write(text)
        if done.returncode not in self.needs_exit.get(number, (0,)):
            raise RuntimeError(f"{command}\nended with {done.returncode}:\n{text[-2000:]}")


def expect(number, *texts):
    def check(values):
        output = open(f"{values['dir']}/output.{number}").read()
        for text in texts:
            if text not in output:
                raise RuntimeError(f"'{text}' is missing in:\n{output[-2000:]}")

    return check


def picture(values):
    """A page that was not drawn is a small file."""
    size = os.path.getsize(f"{values['dir']}/page.png")
    if size < 8_000:
        raise RuntimeError(f"the picture of the page has {size} bytes only")


def request(values, method, target, fields):
    address = urllib.parse.urlsplit(values["url"])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request(method, target, headers=fields)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def bits(values):
    """script: HEAD; then 24 ranges of 1 MiB, backwards; then two requests of 8 ranges of 1 MiB each"""
    source = open(f"{values['www']}/image.iso", "rb").read()
    answer, _ = request(values, "HEAD", "/image.iso", {"Accept-Encoding": "identity"})
    size, etag = int(answer.headers["Content-Length"]), answer.headers["ETag"]
    assert size == len(source) and answer.headers["Accept-Ranges"] == "bytes"
    for start in reversed(range(0, 24 * MIB, MIB)):
        answer, body = request(values, "GET", "/image.iso", {"Range": f"bytes={start}-{start + MIB - 1}", "If-Range": etag})
        assert answer.status == 206 and body == source[start : start + MIB], (answer.status, start)
    for first in (24 * MIB, 32 * MIB):
        # With gaps, or they could be answered as one.
        spans = [(start, start + MIB - 2) for start in range(first, first + 8 * MIB, MIB)]
        ranges = ",".join(f"{start}-{end}" for start, end in spans)
        answer, body = request(values, "GET", "/image.iso", {"Range": f"bytes={ranges}", "If-Range": etag})
        assert answer.status == 206, answer.status
        boundary = re.search("boundary=(.*)", answer.headers["Content-Type"]).group(1).encode()
        parts = body.split(b"--" + boundary)
        # At most two line ends before the first boundary, and at most 180 bytes of fields for each part.
        assert parts[0] in (b"", b"\r\n", b"\r\n\r\n") and parts[-1].startswith(b"--") and len(parts) == len(spans) + 2
        for part, (start, end) in zip(parts[1:-1], spans):
            head, data = part.split(b"\r\n\r\n", 1)
            assert len(head) <= 180, head
            assert f"bytes {start}-{end}/{size}".encode() in head and data[:-2] == source[start : end + 1]


def delivery(values):
    """script: `HEAD`, then `GET` of 24 ranges of 1 MiB of `/filestreamingservice/files/GUID?P1=..&P2=..&P3=..&P4=..&cacheHostOrigin=HOST`, a new signature for each client"""
    source = open(f"{values['www']}/filestreamingservice/files/0a1b2c3d", "rb").read()
    signature = os.urandom(8).hex()
    target = f"/filestreamingservice/files/0a1b2c3d?P1=17{signature}&P2=404&P3=2&P4={signature}%2f%3d&cacheHostOrigin={values['host']}"
    answer, _ = request(values, "HEAD", target, {"User-Agent": "Microsoft-Delivery-Optimization/10.0"})
    assert int(answer.headers["Content-Length"]) == len(source), answer.status
    for start in range(0, len(source), MIB):
        answer, body = request(values, "GET", target, {"Range": f"bytes={start}-{start + MIB - 1}"})
        assert answer.status == 206 and body == source[start : start + MIB], answer.status
    refused, _ = request(values, "GET", target.replace(values["host"], "169.254.169.254"), {})
    assert refused.status == 403, refused.status


APT = (
    "-o Dir={dir} -o Dir::Etc=/etc/apt-none -o Dir::Etc::SourceList={dir}/sources.list -o Dir::Etc::SourceParts=- -o Dir::State={dir}/state"
    " -o Dir::State::Status={dir}/status -o Dir::Cache={dir}/cache -o APT::Sandbox::User=root -o Acquire::Languages=none"
)
DAVFS = "mkdir -m 777 {dir}/mnt {dir}/keep; printf 'use_locks 0\\nask_auth 0\\ncache_dir {dir}/keep\\n' > {dir}/davfs2.conf; chmod 600 {dir}/davfs2.conf; " \
    "mount.davfs -o ro,conf={dir}/davfs2.conf {url}share/ {dir}/mnt && {{ cp {dir}/mnt/image.iso {dir}/mnt/tools/setup.exe {dir}; code=$?; umount {dir}/mnt; exit $code; }}"
IMAGE = dict(got=["{dir}/image.iso"], source=["{www}/image.iso"])
SHARED = dict(got=["{dir}/copy"], source=["{share}"])

ROWS = [
    Row("curl", ["curl -fsSO {url}image.iso"], package=("curl", "curl"), **IMAGE),
    Row(
        "curl, resumed",
        ["curl -fsSO --limit-rate 8M --max-time 1 {url}image.iso", "curl -fsSO -C - {url}image.iso"],
        package=("curl", "curl"), needs_exit={0: (28,)}, **IMAGE,
    ),
    Row(
        "wget, resumed",
        ["timeout 1 wget -q --limit-rate=8m {url}image.iso", "wget -q -c {url}image.iso"],
        package=("wget", "wget"), needs_exit={0: (124,)}, **IMAGE,
    ),
    Row("aria2", ["aria2c -q -x 16 -s 16 -k 1M {url}image.iso"], package=("aria2c", "aria2"), **IMAGE),
    Row("BITS-like", bits, [], []),
    Row("Delivery Optimization's form", delivery, [], []),
    Row(
        "apt",
        [
            "mkdir -p state/lists/partial cache/archives/partial; touch status; echo 'deb [trusted=yes] {url}debian ./' > sources.list",
            f"apt-get {APT} update",
            f"apt-get {APT} download {NAME}",
        ],
        got=[f"{{dir}}/{NAME}_{VERSION}_all.deb"], source=[f"{{www}}/debian/{NAME}_{VERSION}_all.deb"],
        package=("apt-ftparchive", "apt-utils"),
    ),
    Row(
        "pip",
        [f"{{pip}} download -q --no-deps --no-cache-dir --disable-pip-version-check --index-url {{url}}simple -d {{dir}}/out {NAME}"],
        got=["{dir}/out/outpost_sample-1.0.0-py3-none-any.whl"],
        source=[f"{{www}}/simple/{NAME}/outpost_sample-1.0.0-py3-none-any.whl"],
    ),
    Row(
        "npm",
        [f"npm install --silent --no-audit --no-fund --cache {{dir}}/cache --registry {{url}} --replace-registry-host always {NAME}"],
        got=[f"{{dir}}/node_modules/{NAME}/data.bin"], source=["{data}/npm.bin"], package=("npm", "npm"),
    ),
    Row(
        "cargo",
        [
            "mkdir -p .cargo src; touch src/lib.rs; printf '[registries.sample]\\nindex = \"sparse+{url}index/\"\\n' > .cargo/config.toml; "
            f"printf '[package]\\nname = \"x\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n[dependencies]\\n{NAME} = {{{{ version = \"1\", registry = \"sample\" }}}}\\n' > Cargo.toml",
            "{cargo} fetch --quiet; cp .cargo/registry/src/*/outpost-sample-1.0.0/data.bin .",
        ],
        got=["{dir}/data.bin"], source=["{data}/crate.bin"],
    ),
    Row(
        "Chromium",
        ["chromium --headless=new --no-sandbox --disable-gpu --no-first-run --user-data-dir={dir}/profile --window-size=900,700 --screenshot={dir}/page.png {url}share/tools/"],
        [], [], package=("chromium", "chromium"), check=picture,
    ),
    Row("curl, WebDAV", ["curl -fsS -X PROPFIND -H 'Depth: 1' {url}share/many/"], [], [], package=("curl", "curl"),
        check=expect(0, "<D:href>/share/many/file%20039.bin</D:href>", "<D:getcontentlength>20000<")),
    Row("rclone, http", ["rclone -q copy \":http,url='{url}share/':\" copy"], package=("rclone", "rclone"), **SHARED),
    Row(
        "rclone, WebDAV",
        ["rclone -q copy \":webdav,url='{url}share/':\" copy", "rclone check --download \":webdav,url='{url}share/':\" copy"],
        package=("rclone", "rclone"), check=expect(1, "0 differences found"), **SHARED,
    ),
    Row(
        "cadaver",
        ["printf 'ls\\ncd tools\\nls\\nget setup.exe\\nput setup.exe new\\nquit\\n' | cadaver {url}share/"],
        got=["{dir}/setup.exe"], source=["{share}/tools/setup.exe"], package=("cadaver", "cadaver"),
        check=expect(0, "a file with \u00fcmlauts & signs.txt", "405 Method Not Allowed"),
    ),
    Row("davfs2", [DAVFS], got=["{dir}/image.iso", "{dir}/setup.exe"], source=["{share}/image.iso", "{share}/tools/setup.exe"], package=("mount.davfs", "davfs2")),
]


def command_text(row):
    """As it stands in the table."""
    text = row.shown()
    if row.name == "davfs2":
        text = "mount.davfs -o ro {url}share/ mnt; cp mnt/image.iso mnt/tools/setup.exe ."
    if row.name == "apt":
        text = f"apt-get update; apt-get download {NAME}"
    if row.name == "cargo":
        text = "cargo fetch"
    if callable(row.commands):
        return text.removeprefix("script: ")
    for verbose in (" --disable-pip-version-check", " --user-data-dir={dir}/profile", " --window-size=900,700", " --no-first-run", "{dir}/"):
        text = text.replace(verbose, "")
    text = text.replace("{pip}", "pip").replace("{cargo}", "cargo").replace("{url}", "http://DS/")
    return f"`{text}`".replace("|", "\\|")
