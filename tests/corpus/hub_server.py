"""A stand-in for the hub on this machine: the few addresses by which huggingface_hub lists and fetches a data set.

python hub_server.py FOLDER [TIMES]: prints its address, serves FOLDER as datasets/owner/name, and answers the first
TIMES requests for each file with 503, as a hub that is overloaded does.
"""

import hashlib
import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40
ROOT = Path(sys.argv[1])
TIMES = int(sys.argv[2]) if len(sys.argv) > 2 else 1
refused: Counter[str] = Counter()


class Hub(BaseHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/datasets/owner/name" or path.startswith("/api/datasets/owner/name/revision/"):
            names = [file.relative_to(ROOT).as_posix() for file in sorted(ROOT.rglob("*")) if file.is_file()]
            listing = {
                "id": "owner/name",
                "sha": COMMIT,
                "siblings": [{"rfilename": name, "size": (ROOT / name).stat().st_size} for name in names],
            }
            self.send(json.dumps(listing).encode(), body)
        elif path.startswith("/api/datasets/owner/name/tree/"):
            files = [file for file in sorted(ROOT.rglob("*")) if file.is_file()]
            listed = [
                {
                    "type": "file",
                    "path": file.relative_to(ROOT).as_posix(),
                    "size": file.stat().st_size,
                    "oid": "0" * 40,
                }
                for file in files
            ]
            self.send(json.dumps(listed).encode(), body)
        elif path.startswith("/datasets/owner/name/resolve/"):
            name = path.split("/", 6)[6]
            if body and refused[name] < TIMES:
                refused[name] += 1
                self.send_error(503)
            else:
                self.send((ROOT / name).read_bytes(), body)
        else:
            self.send_error(404)

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
