"""A server on this machine that speaks what fetching needs of the hub's protocol, and writes its requests down."""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".zst", ".parquet")
"""Ends of names of files that the hub keeps by their SHA-256."""
TREE = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
REVISION = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)")
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class Request(NamedTuple):
    """A request: method, path, the name of the file that it asks for ("" for none), and its range."""

    method: str
    path: str
    file: str
    range: str


class Refusal(NamedTuple):
    """What the hub says of what it does not give: HTTP status, its own code, and for which paths."""

    status: int
    code: str
    where: str


class Hub:
    """Repositories ("models/owner/name" -> files), each at one commit, and what goes wrong.

    breaks: names of files whose next transfer ends half-way. dies: a file at whose transfer the server stops to
    answer, half-way and not before the files `first` have been given.
    """

    def __init__(self, commit: str, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        self.commit, self.repositories = commit, repositories
        self.requests: list[Request] = []
        self.refusal: Refusal | None = None
        self.breaks: set[str] = set()
        self.dies = ""
        self.first: set[str] = set()
        self.sent: set[str] = set()
        self.dead = threading.Event()
        self.first_sent = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def given(self, file: str) -> int:
        """How often a file was asked for."""
        return sum(request.method == "GET" and request.file == file for request in self.requests)

    def revive(self) -> None:
        """Answer again."""
        self.dies = ""
        self.dead.clear()

    def close(self) -> None:
        """Refuse every connection from now on."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        found = FILE.fullmatch(path)
        file = found["file"] if found else ""
        hub.requests.append(Request(self.command, path, file, self.headers.get("Range", "")))
        if hub.dead.is_set():
            self.close_connection = True
            return
        if hub.refusal and hub.refusal.where in path:
            self._refuse(hub.refusal.status, hub.refusal.code)
            return
        asked = found or TREE.fullmatch(path) or REVISION.fullmatch(path)
        kind = "datasets" if asked and (asked["kind"] or "").startswith("datasets") else "models"
        files = hub.repositories.get(f"{kind}/{asked['name']}") if asked else None
        if asked is None or files is None:
            self._refuse(404, "RepoNotFound")
        elif asked["revision"] != hub.commit:
            self._refuse(404, "RevisionNotFound")
        elif not found:
            self._send_about(asked, files)
        elif file not in files:
            self._refuse(404, "EntryNotFound")
        else:
            self._send_file(file, files)

    def _send_about(self, asked: re.Match[str], files: Mapping[str, bytes]) -> None:
        """What lies in a repository, or in a folder of it."""
        if asked.re is not TREE:
            self._send_json(_about(asked["name"], self.hub.commit, files))
            return
        folder = f"{asked['folder']}/" if asked["folder"] else ""
        below = {file: content for file, content in files.items() if file.startswith(folder)}
        if below:
            self._send_json([entry for entry in _listing(below) if entry["path"] != asked["folder"]])
        else:
            self._refuse(404, "EntryNotFound")

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "No.")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_json(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_file(self, file: str, files: Mapping[str, bytes]) -> None:
        hub, content = self.hub, files[file]
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, content = int(first), content[: int(last) + 1] if last else content
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{_etag(file, content)}"')
        self.send_header("X-Linked-ETag", f'"{_etag(file, content)}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Repo-Commit", hub.commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(content)
        if file == hub.dies:
            hub.first_sent.wait(10 if hub.first else 0)
            hub.dead.set()
        if file in hub.breaks or file == hub.dies:
            hub.breaks.discard(file)
            end = len(content) // 2
            self.close_connection = True
        self.wfile.write(content[start:end])
        hub.sent.add(file)
        if hub.sent >= hub.first:
            hub.first_sent.set()


def _etag(file: str, content: bytes) -> str:
    if file.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _listing(files: Mapping[str, bytes]) -> list[dict[str, object]]:
    folders = sorted({file.rpartition("/")[0] for file in files} - {""})
    entries: list[dict[str, object]] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": it} for it in folders]
    for file, content in files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, object] = {"type": "file", "oid": blob, "size": len(content), "path": file}
        if file.endswith(LARGE):
            entry["lfs"] = {"oid": _etag(file, content), "size": len(content), "pointerSize": 130}
        entries.append(entry)
    return entries


def _about(name: str, commit: str, files: Mapping[str, bytes]) -> dict[str, object]:
    return {"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files]}
