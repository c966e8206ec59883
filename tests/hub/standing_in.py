"""A stand-in for the hub in this process that takes repositories as well as it gives them.

The token `writer` may write to owner/*, `reader` to nothing, `busy` is always asked to wait; others are unknown.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "d" * 40
REFUSED = {"reader": 403, "busy": 429}


@dataclass
class StandIn:
    """What the hub holds: files by repository, such as datasets/owner/name; and what was asked of it."""

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    made: list[dict] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """The hub, as long as the context is open."""
    hub = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (Answers,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class Answers(BaseHTTPRequestHandler):
    hub: StandIn

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.get(body=False)

    def do_GET(self) -> None:
        self.get(body=True)

    def get(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(path)
        info = re.fullmatch(r"/api/(\w+/owner/\w+)(?:/(revision|tree)/(?:main|d{40}))?", path)
        file = re.fullmatch(r"/((?:datasets/|spaces/)?owner/\w+)/resolve/(?:main|d{40})/(.+)", path)
        if file:
            name = file[1] if file[1].startswith(("datasets/", "spaces/")) else f"models/{file[1]}"
            self.file(self.hub.repositories.get(name, {}).get(file[2]), body)
        elif info and info[1] in self.hub.repositories:
            files = self.hub.repositories[info[1]]
            tree = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()]
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            self.send(tree if info[2] == "tree" else {"id": "owner/name", "sha": COMMIT, "siblings": siblings})
        else:
            self.send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def file(self, data: bytes | None, body: bool) -> None:
        if data is None:
            self.send({}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != "writer":
            self.send({"error": "no"}, REFUSED.get(token, 401))
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            wrong = b"license_name: unheard-of" in body
            self.send({"errors": [{"message": "no such licence"}] if wrong else []}, 400 if wrong else 200)
        elif "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.send({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        else:
            self.commit(path.split("/commit/")[0].removeprefix("/api/"), body)

    def create(self, asked: dict) -> None:
        kind = asked.get("type", "model") + "s"
        name = f"{asked['organization']}/{asked['name']}"
        known = f"{kind}/{name}" in self.hub.repositories
        self.hub.made.append(asked)
        if asked["organization"] != "owner":
            self.send({"error": "no such namespace"}, 404)
            return
        self.hub.repositories.setdefault(f"{kind}/{name}", {})
        place = name if kind == "models" else f"{kind}/{name}"
        self.send({"url": f"{self.hub.address}/{place}"}, 409 if known else 200)

    def commit(self, repository: str, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.hub.repositories[repository][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.hub.repositories[repository][value["path"]]
        self.send({"commitUrl": f"{self.hub.address}/{repository}/commit/{COMMIT}", "commitOid": COMMIT})

    def send(self, answer: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
