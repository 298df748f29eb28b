"""A server for tests/examples/remote.sh: serves files well, in many bad ways (/MODE/FILE), and plays the hub.

usage: remote_server.py FOLDER [CERTIFICATE KEY]

Writes its ports to FOLDER/ports: plain, another one that counts as another host, and one with TLS if there is a
certificate. FOLDER/requests has a line for each request: port, method, path, Range, Authorization. The files of the
hub's repositories are in FOLDER/hub/OWNER/NAME."""
import gzip
import hashlib
import http.server
import json
import os
import ssl
import sys
import threading
import time
import urllib.parse

folder = sys.argv[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
lock = threading.Lock()
log = open(os.path.join(folder, "requests"), "w")
counts = {}
ports = []


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def count(self, key):
        with lock:
            counts[key] = counts.get(key, 0) + 1
            return counts[key]

    def answer(self, status, body=b"", **fields):
        """Sends an answer; a field given as None is left out."""
        fields = {"content_length": str(len(body)), **fields}
        self.send_response(status)
        for name, value in fields.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, blocks):
        for block in blocks:
            self.wfile.write(b"%x\r\n" % len(block) + block + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def byte_range(self, data):
        """Returns first and last byte of the range that was asked for, or None."""
        text = self.headers.get("Range", "")
        if not text.startswith("bytes="):
            return None
        first, _, last = text[6:].partition("-")
        return int(first), min(int(last) if last else len(data) - 1, len(data) - 1)

    def serve(self, data, **fields):
        """As a good server does."""
        fields = {"etag": '"%s"' % hashlib.md5(data).hexdigest(), **fields}
        asked = self.byte_range(data)
        if asked is None:
            return self.answer(200, data, **fields)
        first, last = asked
        if first > last:
            return self.answer(416, content_range="bytes */%d" % len(data))
        self.answer(206, data[first:last + 1], content_range="bytes %d-%d/%d" % (first, last, len(data)), **fields)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        port = ports.index(self.server.server_address[1])
        with lock:
            log.write("%d %s %s %s %s\n" % (port, self.command, self.path, self.headers.get("Range", "-"),
                                            self.headers.get("Authorization", "-")))
            log.flush()
        path = urllib.parse.urlsplit(self.path).path
        try:
            if path.startswith(("/api/", "/hub/")) or "/resolve/" in path:
                return self.hub(path)
            path = urllib.parse.unquote(path)
            mode, _, name = path[1:].partition("/")
            file = os.path.join(folder, "files", name)
            if not os.path.isfile(file):
                return self.answer(404, b'{"error":"no \x1b[31mfile"}')
            getattr(self, "mode_" + mode)(read(file), name)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # ---- bad ways ----

    def mode_good(self, data, name):
        self.serve(data)

    def mode_auth(self, data, name):
        if self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, b"", x_error_message="who are you")
        self.serve(data)

    def mode_query(self, data, name):
        """Wants a key in the query."""
        self.serve(data) if self.path.endswith("?key=1&x=/") else self.answer(403)

    def mode_no_range(self, data, name):
        self.answer(200, data)

    def cut(self, data, sent):
        first, last = self.byte_range(data) or (0, len(data) - 1)
        self.send_response(206 if self.headers.get("Range") else 200)
        if self.headers.get("Range"):
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(data[first:first + sent])
        self.close_connection = True

    def mode_cut(self, data, name):
        """Sends 60,000 bytes of each range at most."""
        self.cut(data, 60000)

    def mode_cut_always(self, data, name):
        self.cut(data, 0)

    def mode_busy(self, data, name):
        """Two failures before each good answer."""
        key = "busy " + self.headers.get("Range", "")
        k = self.count(key)
        if k == 1:
            counts[key + " until"] = time.time() + 0.95
            return self.answer(503, b"<html>busy", retry_after="1")
        if time.time() < counts[key + " until"]:
            return self.answer(400, b"too early")
        if k == 2:
            return self.answer(429, b"", retry_after="0")
        self.serve(data)

    def mode_busy_always(self, data, name):
        self.answer(503, b"no room")

    def mode_wait(self, data, name):
        self.answer(429, b"", retry_after="9999")

    def mode_changes(self, data, name):
        """Another ETag and other bytes from the second answer on."""
        if self.count("changes") > 1:
            data = data[:9000] + bytes(255 - b for b in data[9000:])
        self.serve(data)

    def mode_refuses_changed(self, data, name):
        if self.headers.get("If-Match"):
            return self.answer(412)
        self.serve(data)

    def mode_modified(self, data, name):
        k = self.count("modified")
        self.serve(data, etag=None, last_modified="Mon, 01 Jan 2024 00:00:0%d GMT" % min(k, 9))

    def mode_other_total(self, data, name):
        first, last = self.byte_range(data)
        total = len(data) + (self.count("total") > 1)
        self.answer(206, data[first:last + 1], content_range="bytes %d-%d/%d" % (first, last, total), etag='"e"')

    def mode_short_length(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, data[first:last], content_range="bytes %d-%d/%d" % (first, last, len(data)))

    def mode_long_length(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, data[first:last + 1] + b"x", content_range="bytes %d-%d/%d" % (first, last, len(data)))

    def partial_chunks(self, data, blocks):
        first, last = self.byte_range(data)
        self.send_response(206)
        self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunks(blocks(data[first:last + 1]))

    def mode_chunks(self, data, name):
        """Chunks are fine."""
        self.partial_chunks(data, lambda part: [part[i:i + 1000] for i in range(0, len(part), 1000)])

    def mode_too_much(self, data, name):
        self.partial_chunks(data, lambda part: [part, b"more"])

    def mode_too_little(self, data, name):
        self.partial_chunks(data, lambda part: [part[:10]])

    def mode_endless(self, data, name):
        def forever(part):
            while True:
                yield b"y" * 65536
        self.partial_chunks(data, forever)

    def mode_other_range(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, data[first + 1:last + 2], content_range="bytes %d-%d/%d" % (first + 1, last + 1, len(data) + 1))

    def mode_late_range(self, data, name):
        """One byte too late, but with the right end."""
        first, last = self.byte_range(data)
        first += first < last
        self.answer(206, data[first:last + 1], content_range="bytes %d-%d/%d" % (first, last, len(data)))

    def mode_less_range(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, data[first:last], content_range="bytes %d-%d/%d" % (first, last - 1, len(data)))

    def mode_no_content_range(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, data[first:last + 1])

    def mode_huge_total(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, data[first:last + 1], content_range="bytes %d-%d/99999999999999999999" % (first, last))

    def mode_multipart(self, data, name):
        body = b"--b\r\nContent-Type: x\r\nContent-Range: bytes 0-9/9000\r\n\r\n0123456789\r\n--b--\r\n"
        self.answer(206, body, content_type="multipart/byteranges; boundary=b")

    def mode_gzip(self, data, name):
        first, last = self.byte_range(data)
        self.answer(206, gzip.compress(data[first:last + 1]), content_encoding="gzip",
                    content_range="bytes %d-%d/%d" % (first, last, len(data)))

    def mode_long_field(self, data, name):
        self.serve(data, etag='"' + "e" * 4000 + '"')

    def mode_stall(self, data, name):
        time.sleep(8)
        self.close_connection = True

    def mode_trickle(self, data, name):
        self.send_response(206)
        self.send_header("Content-Range", "bytes 0-65535/%d" % len(data))
        self.send_header("Content-Length", "65536")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(data[:1])
            time.sleep(0.1)
        self.close_connection = True

    def mode_endless_header(self, data, name):
        self.wfile.write(b"HTTP/1.1 206 Partial Content\r\n")
        while True:
            self.wfile.write(b"X-More: header\r\n" * 1000)

    def mode_garbage(self, data, name):
        self.wfile.write(b"this is not HTTP\r\n\r\n" + data)
        self.close_connection = True

    def mode_loop(self, data, name):
        self.answer(302, location="/loop/" + name)

    def mode_to_other(self, data, name):
        self.answer(302, b"x" * 100, location="http://127.0.0.1:%d/good/%s" % (ports[1], name))

    def mode_to_user(self, data, name):
        self.answer(302, location="http://me:you@127.0.0.1:%d/good/%s" % (ports[1], name))

    def mode_to_file(self, data, name):
        self.answer(302, location="file:///etc/passwd")

    def mode_to_plain(self, data, name):
        self.answer(302, location="http://127.0.0.1:%d/good/%s" % (ports[0], name))

    def mode_signed(self, data, name):
        """Redirects to a URL that is good for one request."""
        self.answer(302, location="http://127.0.0.1:%d/ticket/%s?%d" % (ports[1], name, self.count("signed")))

    def mode_ticket(self, data, name):
        if self.count(self.path) > 1:
            return self.answer(403, b"expired")
        self.serve(data)

    def mode_signed_badly(self, data, name):
        if self.count("badly") == 1:
            return self.answer(302, location="http://127.0.0.1:%d/once/%s" % (ports[1], name))
        self.answer(302, location="http://127.0.0.1:%d/never/%s" % (ports[1], name))

    def mode_once(self, data, name):
        self.serve(data) if self.count("once") == 1 else self.answer(403)

    def mode_never(self, data, name):
        self.answer(403, b"expired")

    # ---- the hub ----

    def hub(self, path):
        if path.startswith("/hub/"):  # the store of large files
            data = read(os.path.join(folder, urllib.parse.unquote(path[1:])))
            if "pieces" in path:  # 1.2 MiB of each answer
                return self.cut(data, 1258291)
            if "cut" in path and self.count("hub" + path) == 1:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("ETag", '"%s"' % hashlib.md5(data).hexdigest())
                self.end_headers()
                self.wfile.write(data[:100000])
                self.close_connection = True
                return None
            if "killed" in path and self.count("hub" + path) <= 2:  # sends a part, and waits until nobody listens
                self.cut(data, 100000)
                time.sleep(3)
                return None
            if "no-range" in path:
                return self.answer(200, data)
            if "hash" in path:  # another byte than was promised
                data = bytes([data[0] ^ 1]) + data[1:]
            return self.serve(data)
        if path.startswith("/api/"):
            kind, _, rest = path[len("/api/"):].partition("/")
            name, _, revision = rest.partition("/revision/")
            if (kind == "datasets") != (name == "owner/data"):
                return self.answer(404, b'{"error":"Repository not found"}')
            root = os.path.join(folder, "hub", name)
            if not os.path.isdir(root):
                return self.answer(404, b'{"error":"Repository not found"}', content_type="application/json")
            revision = urllib.parse.unquote(revision)
            if revision not in ("main", "refs/pr/1", COMMIT):
                return self.answer(404, x_error_message="Invalid rev id: " + revision[:20])
            names = [os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs]
            names += {"evil/path": ["../../escaped"], "evil/root": ["/escaped"], "evil/control": ["a\x1bb"],
                      "evil/dot": ["./escaped"], "evil/long": ["a" * 300], "evil/backslash": ["..\\escaped"]}.get(name, [])
            info = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": n} for n in sorted(names)],
                    "safetensors": {"parameters": {"F32": 12}, "total": 12}}
            if name == "evil/sha":
                info["sha"] = "../../../../../../../../../../../escaped"
            text = json.dumps(info)
            bad = {"evil/json": text[:-2], "evil/empty": "", "evil/array": "[%s]" % text, "evil/null": "null}"}
            text = bad.get(name, text)
            return self.answer(200, text.encode())
        name, _, rest = path[1:].partition("/resolve/")
        name = name.replace("datasets/owner/data", "owner/data")
        if not os.path.isdir(os.path.join(folder, "hub", name)):
            return self.answer(404)
        file = urllib.parse.unquote(rest.partition("/")[2])
        data = read(os.path.join(folder, "hub", name, file))
        fields = {"x_repo_commit": COMMIT[::-1] if name == "evil/commit" else COMMIT}
        if not file.endswith(".safetensors"):
            etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if name == "evil/etag":
                etag = "../../../../escaped"
            if name == "evil/git" and self.command == "GET":
                data = data[::-1]
            return self.serve(data, etag=("W/" if name == "owner/data" else "") + '"%s"' % etag, **fields)
        size = len(data) + (name == "evil/size")
        linked = {"x_linked_etag": '"%s"' % hashlib.sha256(data).hexdigest(), "x_linked_size": str(size)}
        if name == "evil/redirect":
            linked = {}
        self.answer(302, location="http://127.0.0.1:%d/hub/%s/%s" % (ports[1], name, urllib.parse.quote(file)),
                    **fields, **linked)


servers = []
for k in range(3 if len(sys.argv) > 3 else 2):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if k == 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    ports.append(server.server_address[1])
    servers.append(server)
with open(os.path.join(folder, "ports.new"), "w") as f:
    print(*ports, file=f)
os.rename(os.path.join(folder, "ports.new"), os.path.join(folder, "ports"))
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
threading.Timer(300, lambda: os._exit(1)).start()  # outlives no test
servers[0].serve_forever()
