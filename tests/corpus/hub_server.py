"""A stand-in for the hub on this machine: the few addresses by which huggingface_hub lists and fetches files.

python hub_server.py FOLDER [TIMES] [STATUS]: prints its address, serves FOLDER as the data set and the model
owner/name, and answers the first TIMES requests for each file with STATUS (503), as a hub that is overloaded does. The
model's revisions are `main`, `v1` and COMMIT. Of the model owner/gated it tells everything and gives nothing.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40
REVISIONS = ("main", "v1", COMMIT)
ROOT = Path(sys.argv[1])
TIMES = int(sys.argv[2]) if len(sys.argv) > 2 else 1
STATUS = int(sys.argv[3]) if len(sys.argv) > 3 else 503
refused: Counter[str] = Counter()


def files() -> list[Path]:
    return [file for file in sorted(ROOT.rglob("*")) if file.is_file()]


def information() -> dict:
    siblings = [{"rfilename": file.relative_to(ROOT).as_posix(), "size": file.stat().st_size} for file in files()]
    return {"id": "owner/name", "sha": COMMIT, "siblings": siblings}


def listed() -> list[dict]:
    return [
        {"type": "file", "path": file.relative_to(ROOT).as_posix(), "size": file.stat().st_size, "oid": "0" * 40}
        for file in files()
    ]


class Hub(BaseHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0].replace("/owner/gated", "/owner/name")
        asked = re.fullmatch(r"/api/(datasets|models)/owner/name(?:/(revision|tree)/([^/]+))?(?:/.*)?", path)
        file = re.fullmatch(r"/(?:datasets/)?owner/name/resolve/([^/]+)/(.+)", path)
        if asked and asked[1] == "models" and asked[3] not in (None, *REVISIONS):
            self.refuse(404, "RevisionNotFound")
        elif asked:
            self.send(json.dumps(listed() if asked[2] == "tree" else information()).encode(), body)
        elif file and "/owner/gated" in self.path:
            self.refuse(403, "GatedRepo")
        elif file and body and refused[file[2]] < TIMES:
            refused[file[2]] += 1
            self.send_error(STATUS)
        elif file:
            self.send((ROOT / file[2]).read_bytes(), body)
        else:
            self.send_error(404)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, data: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
