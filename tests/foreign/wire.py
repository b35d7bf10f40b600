"""Checksums, signature and HTTP: docs/protocol.md §2 to §4.

Knows how to say a request, and nothing of what an answer means.
"""

import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

MIB = 1 << 20


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tree_hash(data):
    """The tree hash of §4.1 as 64 hex digits."""
    row = [hashlib.sha256(data[i:i + MIB]).digest() for i in range(0, len(data), MIB)]
    while len(row) > 1:
        pairs = [row[i:i + 2] for i in range(0, len(row), 2)]
        row = [hashlib.sha256(b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return row[0].hex()


def pattern(size):
    """The bytes `P(size)` of §4.2."""
    blocks = (bytes((31 * i + 7 * block) % 256 for i in range(256)) * 4096 for block in range(-(-size // MIB)))
    return b"".join(blocks)[:size]


def encode(value):
    """Everything but `A-Z a-z 0-9 - _ . ~` as `%XX` with upper-case digits, §3.1."""
    return quote(value.encode() if isinstance(value, str) else value, safe="")


def parameter_pair(name, value, reading, equals):
    """One pair of the parameter line. `equals` says whether an empty value keeps its `=`, §3.2."""
    raw = value.encode()
    text = {"A": encode(raw.lower()), "B": encode(raw).lower(), "C": encode(raw)}[reading]
    return encode(name.lower()) + ("=" + text if raw or equals else "")


def header_pair(name, value):
    return name.lower() + "=" + encode(value)


def format_string(method, path, params, headers, reading="A", equals=True):
    by_name = lambda pair: pair[0].lower()
    query = "&".join(parameter_pair(n, v, reading, equals) for n, v in sorted(params, key=by_name))
    head = "&".join(header_pair(n, v) for n, v in sorted(headers, key=by_name))
    return f"{method.lower()}\n{path}\n{query}\n{head}\n"


def string_to_sign(algorithm, sign_time, text):
    return f"{algorithm}\n{sign_time}\n{hashlib.new(algorithm, text.encode()).hexdigest()}\n"


def signing_key(secret_key, key_time, algorithm="sha1"):
    return hmac.new(secret_key.encode(), key_time.encode(), algorithm).hexdigest()


def authorization(secret_id, key, sign_time, key_time, text, header_list, param_list, algorithm="sha1"):
    """The token. `key` is the signing key as hex text, which is also what a delegate holds, §3.4."""
    signature = hmac.new(key.encode(), string_to_sign(algorithm, sign_time, text).encode(), algorithm).hexdigest()
    return (f"q-sign-algorithm={algorithm}&q-ak={secret_id}&q-sign-time={sign_time}&q-key-time={key_time}"
            f"&q-header-list={header_list}&q-url-param-list={param_list}&q-signature={signature}")


@dataclass(frozen=True)
class Signing:
    """How to sign: the defaults are what §3.3 advises."""

    reading: str = "A"
    equals: bool = True
    headers: tuple = None  # names to sign; None: host, content-length with a body, ranges and every x-cas-…
    params: bool = True
    start: int = -60  # the sign time, in seconds from now
    end: int = 1200
    key_start: int = None  # the key time; None: as the sign time
    key_end: int = None
    algorithm: str = "sha1"
    reverse_lists: bool = False
    secret_id: str = None
    secret_key: str = None


NOTHING = Signing(headers=(), params=False, start=-1, end=3600)
PYTHON = Signing(equals=False, start=0)


class WireError(Exception):
    """The other side did not speak HTTP as §2 asks."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: tuple = ()  # (name, value), not escaped
    headers: tuple = ()  # (name, value) of the operation; bytes pass as they are
    body: bytes = None

    def target(self):
        return self.path + ("?" + "&".join(f"{encode(n)}={encode(v)}" for n, v in self.query) if self.query else "")


class Answer:
    def __init__(self, status, headers, body, problems):
        self.status, self.headers, self.body, self.problems = status, headers, body, problems

    def header(self, name):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        return values[0] if values else None

    def json(self):
        """The body as JSON, or None: `shape` tells why."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Connection:
    """One HTTP/1.1 connection, kept open as long as the server lets it."""

    def __init__(self, endpoint):
        self.url = urlsplit(endpoint)
        self.socket, self.buffer, self.used = None, b"", False

    def open(self):
        port = self.url.port or (443 if self.url.scheme == "https" else 80)
        self.socket = socket.create_connection((self.url.hostname, port), timeout=60)
        if self.url.scheme == "https":
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=self.url.hostname)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.used = b"", False

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def exchange(self, head, body):
        """Sends one message and reads one answer. Opens a kept connection anew, once, if the server has closed it."""
        reused = self.socket is not None and self.used
        if self.socket is None:
            self.open()
        try:
            return self.attempt(head, body)
        except (ConnectionError, WireError) as gone:
            self.close()
            if not reused or (isinstance(gone, WireError) and str(gone) != "no answer"):
                raise
        self.open()
        return self.attempt(head, body)

    def attempt(self, head, body):
        refusal = None
        try:
            self.socket.sendall(head + (body or b""))
        except ConnectionError as broken:  # a server may refuse a body before it has read it: the answer still counts
            refusal = broken
        try:
            answer = self.read_answer()
        except (ConnectionError, WireError) as lost:
            raise refusal or lost
        self.used = True
        if refusal or (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    def more(self):
        piece = self.socket.recv(1 << 18)
        self.buffer += piece
        return len(piece)

    def read_answer(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                raise WireError("half a head" if self.buffer else "no answer")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 (\d{3})(?: .*)?", lines[0])
        if not status:
            raise WireError(f"status line {lines[0]!r}")
        if status[1] == "100":
            return self.read_answer()
        headers = [tuple(part.strip() for part in line.partition(":")[::2]) for line in lines[1:]]
        return self.read_body(int(status[1]), headers)

    def read_body(self, status, headers):
        problems = []
        names = [n.lower() for n, _ in headers]
        problems += [f"{n} stands twice" for n in sorted(set(names)) if names.count(n) > 1]
        lengths = [v for n, v in headers if n.lower() == "content-length"]
        if "transfer-encoding" in names:
            raise WireError("the answer is chunked, Content-Length is promised")
        if not lengths and status != 204:
            raise WireError(f"{status} without Content-Length")
        size = 0 if status == 204 else int(lengths[0])
        pieces, have = [self.buffer], len(self.buffer)
        while have < size:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise WireError(f"the body ends after {have} of {size} bytes")
            pieces.append(piece)
            have += len(piece)
        whole = b"".join(pieces)
        body, self.buffer = whole[:size], b""
        if have > size:
            problems.append(f"{have - size} bytes after the answer")
        return Answer(status, headers, body, problems)


class Client:
    """Three ways of speaking: as §3.3 advises, as the official Python client does, and as the official Node client."""

    def __init__(self, endpoint, app_id, secret_id, secret_key, region):
        self.endpoint, self.app_id, self.secret_id, self.secret_key = endpoint, app_id, secret_id, secret_key
        self.cloud_host = f"cas.{region}.myqcloud.com"
        url = urlsplit(endpoint)
        self.host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        self.host_port = self.host + (f":{url.port}" if url.port else "")
        self.local = threading.local()

    def connection(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = Connection(self.endpoint)
        return self.local.connection

    def token(self, request, headers, sign):
        now = int(time.time())
        moment = lambda offset, other: now + (other if offset is None else offset)
        sign_time = f"{now + sign.start};{now + sign.end}"
        key_time = f"{moment(sign.key_start, sign.start)};{moment(sign.key_end, sign.end)}"
        wanted = sign.headers
        if wanted is None:
            always = ("host", "content-length", "range", "content-range")
            wanted = [n for n, _ in headers if n.lower() in always or n.lower().startswith("x-cas-")]
        wanted = {n.lower() for n in wanted}
        signed = [(n, v) for n, v in headers if n.lower() in wanted]
        params = request.query if sign.params else ()
        # Hashing with an algorithm nobody knows is nobody's business: such a token carries its name only.
        algorithm = sign.algorithm if sign.algorithm in ("sha1", "sha256") else "sha1"
        text = format_string(request.method, request.path, params, signed, sign.reading, sign.equals)
        header_list = ";".join(sorted(wanted, reverse=sign.reverse_lists))
        param_list = ";".join(sorted((n.lower() for n, _ in params), reverse=sign.reverse_lists))
        key = signing_key(sign.secret_key or self.secret_key, key_time, algorithm)
        token = authorization(sign.secret_id or self.secret_id, key, sign_time, key_time, text, header_list, param_list,
                              algorithm)
        return token.replace(f"q-sign-algorithm={algorithm}", f"q-sign-algorithm={sign.algorithm}")

    def send(self, method, target, headers, body=None, fresh=False):
        """Sends exactly these headers, in this order."""
        lines = [f"{method} {target} HTTP/1.1".encode()]
        lines += [n.encode() + b": " + (v if isinstance(v, bytes) else v.encode()) for n, v in headers]
        connection = Connection(self.endpoint) if fresh else self.connection()
        try:
            return connection.exchange(b"\r\n".join(lines) + b"\r\n\r\n", body)
        finally:
            if fresh:
                connection.close()

    def do(self, request, sign=Signing(), signed_as=None, target=None, host=None, signed_host=None, token=None,
           extra=()):
        """Our own way. `signed_as` and `signed_host` sign another request than the one that is sent."""

        def head(of, host):
            length = (("Content-Length", str(len(of.body))),) if of.body is not None else ()
            return (("Host", host),) + length + of.headers

        host = host or self.host_port
        signed = signed_as or request
        token = self.token(signed, head(signed, signed_host or host), sign) if token is None else token
        rest = (("User-Agent", "cas-foreign"), ("Accept-Encoding", "identity")) + tuple(extra)
        lines = head(request, host) + ((("Authorization", token),) if token else ()) + rest
        return self.send(request.method, target or request.target(), lines, request.body)

    def python(self, request, streamed=False, host=None):
        """As the official Python client.

        It signs no port and sends a new connection's first request. A streamed upload has two Host headers, the second
        of them signed, and a Content-Range that is not.
        """
        host = host or self.host
        late = tuple(h for h in request.headers if h[0] == "Content-Range")
        own = (("Host", host),) + tuple(h for h in request.headers if h not in late)
        if streamed:
            own += (("Content-Length", str(len(request.body))),)
        token = self.token(request, own, PYTHON)
        own += (("Authorization", token),) + late
        if not streamed:
            own += (("Content-Length", str(len(request.body or b""))),)
        own += (("Date", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())), ("User-Agent", "CAS Python SDK"))
        first = (("Host", self.host_port),) if streamed else ()
        return self.send(request.method, self.python_target(request), first + (("Accept-Encoding", "identity"),) + own,
                         request.body, fresh=True)

    @staticmethod
    def python_target(request):
        """The query as that client writes it: unsorted, `/` bare, `~` escaped, no `=` without a value."""
        old_quote = lambda text: quote(text, safe="/").replace("~", "%7E")
        pairs = [old_quote(n) + ("=" + old_quote(v) if v else "") for n, v in request.query]
        return request.path + ("?" + "&".join(pairs) if pairs else "")

    def node(self, request, content_type=None):
        """As the official Node client behind a proxy: absolute form, the cloud's host name, nothing signed."""
        token = self.token(request, (), NOTHING)
        headers = request.headers
        if content_type:
            headers += (("content-type", content_type),)
        if request.body is not None or request.method in ("PUT", "DELETE"):
            headers += (("content-length", str(len(request.body or b""))),)
        headers += (("Authorization", token), ("Host", self.cloud_host), ("Connection", "keep-alive"))
        return self.send(request.method, f"http://{self.cloud_host}{request.target()}", headers, request.body)

    # The requests of §5. `uid` is the number unless a check wants the dash.

    def vaults(self, method="GET", query=(), uid=None):
        return Request(method, f"/{uid or self.app_id}/vaults", query)

    def vault(self, method, vault, below="", query=(), headers=(), body=None, uid=None):
        return Request(method, f"/{uid or self.app_id}/vaults/{vault}{below}", query, headers, body)

    def archive(self, vault, data, description=None, uid=None, upper=False):
        case = str.upper if upper else str.lower
        tree = tree_hash(data) if data else sha256(data)
        headers = (("x-cas-content-sha256", case(sha256(data))), ("x-cas-sha256-tree-hash", case(tree)))
        if description is not None:
            headers += (("x-cas-archive-description", description),)
        return self.vault("POST", vault, "/archives", headers=headers, body=data, uid=uid)

    def part(self, vault, upload, start, data, range_form="bytes {}-{}/*"):
        headers = (("Content-Range", range_form.format(start, start + len(data) - 1)),
                   ("x-cas-content-sha256", sha256(data)), ("x-cas-sha256-tree-hash", tree_hash(data)))
        return self.vault("PUT", vault, f"/multipart-uploads/{upload}", headers=headers, body=data)

    def complete(self, vault, upload, size, digest):
        headers = (("x-cas-archive-size", str(size)), ("x-cas-sha256-tree-hash", digest))
        return self.vault("POST", vault, f"/multipart-uploads/{upload}", headers=headers)

    def job(self, vault, parameters):
        return self.vault("POST", vault, "/jobs", body=json.dumps(parameters).encode())

    def output(self, vault, job, byte_range=None, spelled="output"):
        headers = (("Range", f"bytes={byte_range}"),) if byte_range else ()
        return self.vault("GET", vault, f"/jobs/{job}/{spelled}", headers=headers)
