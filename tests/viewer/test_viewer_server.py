"""The viewer's server: what it imports, whom it answers, what it refuses, by starlette's client and a real process."""

import json
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from select import select as select_sockets
from threading import Event
from time import sleep

import httpx
import pytest
from starlette.testclient import TestClient

from cratelm.cli import run
from cratelm.units.sites import at_sites
from cratelm.viewer import safety
from cratelm.viewer.connections import CONNECTIONS, OWING
from cratelm.viewer.networks import Networks
from cratelm.viewer.safety import LONGEST_BODY, WAITING
from cratelm.viewer.viewed_study import Study
from cratelm.viewer.weights import weights_document
from tests.viewer.viewing import HERE, WITH_ERROR, client_of, viewer


@pytest.fixture(scope="module")
def client(study: Path) -> TestClient:
    return client_of(study)


@pytest.mark.processes
def test_nothing_that_runs_models_is_imported_before_a_page_needs_one(study):
    code = f"""
import sys
from pathlib import Path
from starlette.testclient import TestClient
import cratelm.settings
from cratelm.viewer.api import Viewer
from cratelm.viewer.viewed_study import Study
client = TestClient(Viewer(Study(Path({str(study)!r}))).application(["127.0.0.1"]), base_url="http://127.0.0.1")
for path in ("/", "/app.js", "/api/study", "/api/crate/0", "/api/crate/0/1"):
    assert client.get(path).status_code == 200
assert not {{"torch", "transformers"}} & set(sys.modules)
assert client.get("/api/crate/0/1/weights").status_code == 200
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.processes
def test_pages_that_are_the_first_to_need_a_model_all_at_once_all_get_it(study):
    asked = {"model": "crate", "text": "the cat", "layer": 0, "unit": 1}
    with viewer(study) as address, ThreadPoolExecutor(8) as crowd:

        def ask(number: int) -> httpx.Response:
            if number % 2:
                return httpx.get(f"{address}/api/crate/0/{number}/weights", timeout=60)
            return httpx.post(f"{address}/api/try/fire", json=asked, timeout=60)

        assert [answer.status_code for answer in crowd.map(ask, range(8))] == [200] * 8


def test_a_text_and_what_a_unit_writes_do_not_see_one_another_s_pass(study):
    viewed = Study(study).model("crate")
    networks, inside, seen = Networks(), Event(), []
    with networks.open(viewed) as network:
        expected = weights_document(network, 0, 1)

    def watch_a_text() -> None:
        with networks.open(viewed) as network, at_sites(network.model, network.site_names, lambda *see: seen.append(1)):
            inside.set()
            sleep(0.5)

    def ask_for_weights() -> dict:
        inside.wait()
        with networks.open(viewed) as network:
            network.__dict__.pop("directions", None)  # they are found by a pass of the model
            return weights_document(network, 0, 1)

    with ThreadPoolExecutor(2) as crowd:
        text, weights = crowd.submit(watch_a_text), crowd.submit(ask_for_weights)
        text.result()
        assert weights.result() == expected
    assert not seen


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/..%2f..%2fetc/0/0",
        "/api/%2fetc%2fpasswd/0",
        "/api/crate%00/0/0",
        "/api/crate/0/99999999999999999999",
        "/api/crate/-1/0",
        "/api/nobody/0/0",
        "/crate/99/0",
        "/static/app.js",
    ],
)
def test_an_address_that_the_study_does_not_have_is_not_found(client, path):
    assert client.get(path).status_code == 404


def test_every_answer_says_that_nothing_foreign_may_run(client):
    for path in ("/", "/app.js", "/api/study", "/nobody/0/0"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers


def test_the_page_sets_text_as_text_alone():
    sources = [file.read_text() for file in (Path(__file__).parents[2] / "viewer" / "src").iterdir()]
    assert sources and not any(word in source for source in sources for word in ("innerHTML", "InnerHTML", "eval("))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_only_our_own_page_may_read_and_try(client, headers, status):
    asked = {"model": "crate", "text": "the cat", "layer": None, "unit": None}
    assert client.get("/api/study", headers=headers).status_code == status
    assert client.post("/api/try/fire", json=asked, headers=headers).status_code == status


def test_a_link_on_another_site_may_open_a_page(client):
    assert client.get("/crate/0/1", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_trying_takes_json_by_post_and_no_other_way(client):
    assert client.get("/api/try/fire").status_code in (404, 405)
    assert client.put("/api/study").status_code == 405
    assert client.post("/api/try/fire", content="a=b", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post("/api/try/nothing", json={}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 50_000,
        b'{"model": "crate", "text": 5}',
        b'{"text": "a"}',
        b'{"model": "../x", "text": "a", "layer": null, "unit": null}',
        b'{"model": "crate", "text": "", "layer": null, "unit": null}',
        b'{"model": "crate", "text": "a", "layer": 0, "unit": 1000000000}',
        b'{"model": "crate", "text": "a", "layer": 0, "unit": true}',
        b'{"model": "crate", "text": "\\ud800", "layer": 0, "unit": 1}',
        json.dumps({"model": "crate", "text": "good " * 1500, "layer": 0, "unit": 1}).encode(),
        json.dumps({"model": "crate", "text": "a" * 9000, "layer": 0, "unit": 1}).encode(),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_reason(client, body):
    answer = client.post("/api/try/fire", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["error"]


@pytest.mark.parametrize("clamps", [[], ["1/3"], ["9/0=1"], ["0/999=1"], ["0/1=1"] * 17, ["0/1=nan"], [3]])
def test_a_clamp_of_what_is_not_there_is_refused(client, clamps):
    asked = {"model": "crate", "text": "the", "clamps": clamps, "new_tokens": 2} | WITH_ERROR
    assert client.post("/api/try/steer", json=asked).status_code == 422


def test_bodies_addresses_and_ranges_are_bounded(client, monkeypatch):
    body = b" " * (LONGEST_BODY + 1)
    assert client.post("/api/try/fire", content=body, headers={"Content-Type": "application/json"}).status_code == 413
    assert client.get("/api/search?q=" + "a" * 5000).status_code == 414
    assert client.get("/try?text=" + "a" * 5000).status_code == 200
    monkeypatch.setattr(safety, "LONGEST_PAGE", 4000)  # the client sends none as long as the real limit
    assert client.get("/try?text=" + "a" * 5000).status_code == 414
    ranges = client.get("/app.js", headers={"Range": "bytes=" + ",".join(["0-1"] * 3000)})
    assert ranges.status_code == 200


def test_a_damaged_file_fails_its_units_and_no_other(study, tmp_path):
    copy = shutil.copytree(study, tmp_path / "study")
    file = copy / "records" / "crate" / "layer-0.parquet"
    for damage in (b"no parquet at all", file.read_bytes()[: file.stat().st_size // 2], b""):
        file.write_bytes(damage)
        damaged = client_of(copy)
        answer = damaged.get("/api/crate/0/1")
        assert answer.status_code == 500 and "layer-0.parquet" in answer.json()["error"]
        assert damaged.get("/api/crate/1/1").status_code == 200


def test_what_is_no_study_is_refused(tmp_path, capsys):
    assert run(["view", str(tmp_path)]) == 2
    assert "cratelm study" in capsys.readouterr().err


@pytest.mark.processes
def test_a_real_server_listens_on_this_machine_alone_and_outlives_a_crowd(study):
    with viewer(study) as address, httpx.Client(base_url=address) as http, ThreadPoolExecutor(40) as crowd:
        assert http.get("/api/study", headers={"Host": "rebound.example"}).status_code == 400

        def ask(number: int) -> int:
            asked = {"model": "crate", "text": "the cat " * (number % 5 + 1), "layer": 0, "unit": 1}
            try:
                return httpx.post(f"{address}/api/try/fire", json=asked, timeout=60).status_code
            except httpx.TransportError:
                return 503

        statuses = list(crowd.map(ask, range(200)))
        assert set(statuses) <= {200, 503} and 200 in statuses
        assert http.get("/api/crate/0/1").status_code == 200


@pytest.mark.processes
def test_clients_that_send_byte_by_byte_are_refused_and_hold_nobody_elses_turn(study):
    with viewer(study, first="from cratelm.viewer import safety\nsafety.ARRIVAL = 5") as address:
        host, port = address.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port)), timeout=60) for _ in range(WAITING + 3)]
        for client in slow:
            client.sendall(
                f"POST /api/try/explain HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                "Content-Length: 5000\r\n\r\n".encode()
            )
        asked = {"model": "crate", "layer": 0, "unit": 1, "words": "film"}
        assert httpx.post(f"{address}/api/try/explain", json=asked, timeout=60).status_code == 200
        with ThreadPoolExecutor(len(slow)) as crowd:
            assert set(crowd.map(answered_while_sending, slow)) == {b"HTTP/1.1 413"}


@pytest.mark.processes
def test_connections_that_send_nothing_lock_nobody_out_and_are_closed(study):
    first = "from cratelm.viewer import connections\nconnections.HEADER_SECONDS = 4"
    with viewer(study, first=first) as address:
        host, port = address.removeprefix("http://").split(":")
        silent = [socket.create_connection((host, int(port)), timeout=60) for _ in range(200)]
        trickling = silent[-1]
        trickling.sendall(b"GET /api/study HTTP/1.1\r\n")
        assert httpx.get(f"{address}/api/study", timeout=30).status_code == 200
        for client in silent:
            with client:
                assert client.recv(1) == b""  # closed by the server
        again = HTTPConnection(host, int(port), timeout=60)
        again.request("GET", "/api/study")
        assert again.getresponse().read()
        again.sock.sendall(b"GET /api")  # headers that never end, on a connection that was answered before
        assert again.sock.recv(1) == b""


@pytest.mark.processes
def test_silent_connections_stay_open_while_there_is_room_for_them(study):
    with viewer(study) as address:
        host, port = address.removeprefix("http://").split(":")
        silent = [socket.create_connection((host, int(port)), timeout=60) for _ in range(OWING - 2)]
        assert httpx.get(f"{address}/api/study", timeout=30).status_code == 200
        closed = select_sockets(silent, [], [], 1)[0]
        for client in silent:
            client.close()
        assert not closed


@pytest.mark.processes
def test_clients_that_never_read_their_answers_lock_nobody_out_and_are_closed(study):
    first = "from cratelm.viewer import connections\nconnections.READING_SECONDS = 2"
    with viewer(study, first=first) as address:
        host, port = address.removeprefix("http://").split(":")
        deaf = [never_reading(host, int(port)) for _ in range(CONNECTIONS + 10)]
        assert httpx.get(f"{address}/api/study", timeout=30).status_code == 200
        for client in deaf:
            client.settimeout(30)
            with client, pytest.raises((ConnectionError, BrokenPipeError)):
                for _ in range(600):  # what is sent to a connection that the server has given up is refused
                    client.send(b"x")
                    sleep(0.05)


def never_reading(host: str, port: int) -> socket.socket:
    """A connection that asks for more than the system keeps for it, and takes none of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect((host, port))
    client.sendall(f"GET /app.js HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 300)
    sleep(0.1)  # the next connection finds this one answered
    return client


def answered_while_sending(client: socket.socket) -> bytes:
    """The status of the answer that comes while single bytes go out, at most a minute's worth of them."""
    with client:
        for _ in range(600):
            if select_sockets([client], [], [], 0.1)[0]:
                return client.recv(12)
            client.sendall(b" ")
    return b"no answer"


def test_a_simulator_that_there_is_none_of_is_refused_also_without_a_judge(study, capsys) -> None:
    assert run(["view", str(study), "--simulator", "nope"]) == 2
    assert "unknown simulator 'nope': choose from all-at-once" in capsys.readouterr().err


def test_answers_are_compressed_for_those_who_take_it(study) -> None:
    client = client_of(study)
    assert client.get("/api/crate/1", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/api/crate/1", headers={"Accept-Encoding": "identity"}).headers
