"""What stands at headquarters: a file share, and on a web server mirrors as apt, pip, npm and cargo want them."""

import base64
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import zipfile

MIB = 1 << 20
NAME = "outpost-sample"
VERSION = "1.0.0"


def content(seed, size):
    return random.Random(seed).randbytes(size)


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def share(root):
    put(f"{root}/image.iso", content(1, 48 * MIB))
    put(f"{root}/tools/setup.exe", content(2, 3 * MIB))
    put(f"{root}/tools/a file with \u00fcmlauts & signs.txt", b"hello\n")
    for number in range(40):
        put(f"{root}/many/file {number:03}.bin", content(100 + number, 20_000))


def web(root, url):
    """`url` is the address under which clients will see it."""
    put(f"{root}/image.iso", content(3, 48 * MIB))
    put(f"{root}/filestreamingservice/files/0a1b2c3d", content(4, 24 * MIB))
    debian(f"{root}/debian")
    wheel(f"{root}/simple/{NAME}")
    package(root)
    crate(root, url)


def debian(root):
    build = f"{root}.build"
    put(f"{build}/usr/share/{NAME}/data", content(5, 8 * MIB))
    control = f"Package: {NAME}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: sample\n"
    put(f"{build}/DEBIAN/control", control.encode())
    os.makedirs(root)
    run = lambda *command, **more: subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=root, **more).stdout
    run("dpkg-deb", "-Znone", "--build", build, f"{root}/{NAME}_{VERSION}_all.deb")
    put(f"{root}/Packages", run("apt-ftparchive", "packages", "."))
    put(f"{root}/Release", run("apt-ftparchive", "release", "."))


def wheel(root):
    module = NAME.replace("-", "_")
    info = f"{module}-{VERSION}.dist-info"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{module}/data.bin", content(6, 4 * MIB))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: sample\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    file = f"{module}-{VERSION}-py3-none-any.whl"
    put(f"{root}/{file}", made.getvalue())
    digest = hashlib.sha256(made.getvalue()).hexdigest()
    put(f"{root}/index.html", f'<!DOCTYPE html><html><body><a href="{file}#sha256={digest}">{file}</a></body></html>'.encode())


def archive(folder, files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(made.getvalue(), 1, mtime=0)


def package(root):
    description = {"name": NAME, "version": VERSION}
    tgz = archive("package", {"package.json": json.dumps(description).encode(), "data.bin": content(7, 4 * MIB)})
    put(f"{root}/{NAME}/-/{NAME}-{VERSION}.tgz", tgz)
    dist = {
        # As a mirror of another registry has it; npm is told to ask the one that it was given instead.
        "tarball": f"https://packages.example/{NAME}/-/{NAME}-{VERSION}.tgz",
        "shasum": hashlib.sha1(tgz).hexdigest(),
        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tgz).digest()).decode(),
    }
    packument = {"name": NAME, "dist-tags": {"latest": VERSION}, "versions": {VERSION: description | {"dist": dist}}}
    put(f"{root}/{NAME}/index.json", json.dumps(packument).encode())


def crate(root, url):
    manifest = f'[package]\nname = "{NAME}"\nversion = "{VERSION}"\nedition = "2021"\n'
    files = {"Cargo.toml": manifest.encode(), "src/lib.rs": b"", "data.bin": content(8, 4 * MIB)}
    made = archive(f"{NAME}-{VERSION}", files)
    put(f"{root}/crates/{NAME}/{VERSION}/download", made)
    put(f"{root}/index/config.json", json.dumps({"dl": f"{url}crates"}).encode())
    line = {"name": NAME, "vers": VERSION, "deps": [], "cksum": hashlib.sha256(made).hexdigest(), "features": {}, "yanked": False}
    put(f"{root}/index/{NAME[:2]}/{NAME[2:4]}/{NAME}", (json.dumps(line) + "\n").encode())


NGINX = """
daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log {dir}/access.log;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  types {{ text/html html; application/json json; application/octet-stream bin; }}
  default_type application/octet-stream;
  server {{ listen 127.0.0.1:{port}; root {root}; index index.html index.json; rewrite ^/{name}$ /{name}/index.json last; }}
}}
"""


def nginx(directory, root, port):
    os.makedirs(directory)
    config = NGINX.format(dir=directory, root=root, port=port, name=NAME)
    put(f"{directory}/nginx.conf", config.encode())
    return ["nginx", "-p", directory, "-c", f"{directory}/nginx.conf"]
