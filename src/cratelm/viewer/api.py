"""The viewer's addresses: pages, data to read (GET), and things to try (POST)."""

import json
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cratelm.errors import InputError, RunError
from cratelm.search.embedding import can_search
from cratelm.viewer.judging import Judge, NoAnswer
from cratelm.viewer.layer_document import layer_document
from cratelm.viewer.nearest import nearest_document, nearest_of_study
from cratelm.viewer.networks import Networks, connections_of, require_running
from cratelm.viewer.overview import study_document
from cratelm.viewer.requests import Tries
from cratelm.viewer.safety import Busy, Turn, failure, guards, read_body
from cratelm.viewer.unit_document import unit_document
from cratelm.viewer.viewed_study import Study, ViewedModel

READERS = 4
"""Requests that read at once."""
LAYERS_KEPT = 8
LONGEST_QUESTION = 200
"""Characters of a question to the search by meaning."""
OWN_PAGES = ("/try", "/find", "/compare", "/glossary", "/notes")
"""Pages that are of no model."""
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def static_files() -> dict[str, bytes]:
    """The built page, by file name; raises RunError where it is missing."""
    contents = {
        file.name: file.read_bytes()
        for file in files("cratelm.viewer").joinpath("static").iterdir()
        if file.name.rpartition(".")[2] in TYPES
    }
    if "index.html" not in contents:
        raise RunError("the viewer's page is missing from this installation. Install cratelm again.")
    return contents


def as_json(document: Any) -> bytes:
    """JSON in ASCII, so that no character of data has a meaning anywhere on its way."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


class Viewer:
    """Answers the requests on one study; `judge` reads sentences, where one was named."""

    def __init__(self, study: Study, judge: Judge | None = None) -> None:
        self.study, self.judge = study, judge
        self.networks = Networks()
        self.static = static_files()
        self.tries = Tries(study, self.networks, judge)
        self.turn = Turn("Give less text.")
        # A judge reads for seconds, and of the study's models it runs none: texts need not wait for it.
        self.judging = Turn("What the judge answered so far is kept: ask again.")
        self.readers = CapacityLimiter(READERS)
        self._layer = lru_cache(maxsize=LAYERS_KEPT)(lambda model, layer: as_json(layer_document(model, layer)))

    def application(self, hosts: list[str]) -> Starlette:
        """The application, to be called by the names in `hosts` alone."""
        unit = "/{model}/{layer:int}/{unit:int}"
        routes = [
            Route("/api/study", self.get_study),
            Route("/api/search", self.get_nearest_of_study),
            Route("/api/{model}/{layer:int}", self.get_layer),
            Route("/api/{model}/{layer:int}/search", self.get_nearest),
            Route(f"/api{unit}", self.get_unit),
            Route(f"/api{unit}/weights", self.get_weights),
            Route(f"/api{unit}/connections", self.get_connections),
            Route("/api/try/{what:str}", self.post_try, methods=["POST"]),
            *(Route(f"/{name}", partial(self.get_static, name)) for name in self.static if name != "index.html"),
            *(Route(path, self.get_page) for path in ("/", *OWN_PAGES, "/{model}", "/{model}/{layer:int}", unit)),
        ]
        return Starlette(routes=routes, middleware=guards(hosts), exception_handlers={404: self.not_found})

    async def get_static(self, name: str, request: Request) -> Response:
        """A file of the built page, from memory."""
        return Response(
            self.static[name], media_type=TYPES[name.rpartition(".")[2]], headers={"Cache-Control": "no-cache"}
        )

    async def get_page(self, request: Request) -> Response:
        """The page, which finds out by its address what to show; 404 where there is nothing of that address."""
        known = "model" not in request.path_params or self._place(request) is not None
        return self._page(200 if known else 404)

    async def not_found(self, request: Request, error: Exception) -> Response:
        """The page says so to a person, JSON to a program."""
        return _missing() if request.url.path.startswith("/api/") else self._page(404)

    def _page(self, status: int) -> Response:
        return Response(self.static["index.html"], status, media_type="text/html")

    async def get_study(self, request: Request) -> Response:
        """The comparison, and what there is to look at."""
        reader = None if self.judge is None else self.judge.name
        return await self._read(lambda: as_json(study_document(self.study, reader) | {"search": can_search()}))

    async def get_layer(self, request: Request) -> Response:
        """A layer's units."""
        place = self._place(request)
        return _missing() if place is None else await self._read(lambda: self._layer(*place[:2]))

    async def get_nearest(self, request: Request) -> Response:
        """The units of a layer that are nearest in meaning to the question `q`."""
        place = self._place(request)
        if place is None:
            return _missing()
        return await self._search(request, lambda question: nearest_document(*place[:2], question))

    async def get_nearest_of_study(self, request: Request) -> Response:
        """The same of all trained models."""
        return await self._search(request, lambda question: nearest_of_study(self.study, question))

    async def _search(self, request: Request, work: Callable[[str], dict[str, Any]]) -> Response:
        question = request.query_params.get("q", "").strip()
        if not 0 < len(question) <= LONGEST_QUESTION:
            return failure(422, f"a question has 1 to {LONGEST_QUESTION} characters.")
        if not can_search():
            return failure(422, "search by meaning needs the extra `search`.")
        return await self._read(lambda: as_json(work(question)))

    async def get_unit(self, request: Request) -> Response:
        """One unit."""
        place = self._place(request)
        return _missing() if place is None else await self._read(lambda: as_json(unit_document(*place)))

    async def get_weights(self, request: Request) -> Response:
        """What one unit's weights say."""
        place = self._place(request)
        if place is None:
            return _missing()
        model, layer, unit = place
        return await self._read(lambda: as_json(self._weights(model, layer, unit)))

    def _weights(self, model: ViewedModel, layer: int, unit: int) -> dict[str, Any]:
        require_running()
        from cratelm.viewer.heavy_imports import weights_document

        with self.networks.open(model) as network:
            return weights_document(network, layer, unit)

    async def get_connections(self, request: Request) -> Response:
        """Which units feed one unit, and which it feeds."""
        place = self._place(request)
        if place is None:
            return _missing()
        try:
            return _json(await self.turn.take(lambda: as_json(connections_of(self.networks, *place))))
        except InputError as error:
            return failure(422, self._without_paths(error))
        except Busy as busy:
            return failure(503, str(busy))

    async def post_try(self, request: Request) -> Response:
        """Run a text, clamp units, score an explanation, or let the judge read one."""
        what = request.path_params["what"]
        work, turn = self.tries.named(what), self.judging if what == "judge" else self.turn
        if work is None:
            return _missing()
        body = await read_body(request)
        if body is None:
            return failure(413, "the request is too long or too slow.")
        try:
            return _json(await turn.take(lambda: as_json(work(body))))
        except InputError as error:
            return failure(422, self._without_paths(error))
        except NoAnswer as error:
            return failure(502, str(error))
        except Busy as busy:
            return failure(503, str(busy))

    def _without_paths(self, error: InputError) -> str:
        """What went wrong, without where the study lies on this machine, which is no reader's business."""
        message = str(error)
        for folder in (self.study.folder, self.study.folder.resolve()):
            message = message.replace(str(folder), "STUDY")
        return message

    def _place(self, request: Request) -> tuple[ViewedModel, int, int] | None:
        """What an address names, with 0 for what it leaves out; None where the study has nothing of that name."""
        model = self.study.model(request.path_params["model"])
        layer, unit = (int(request.path_params.get(name, 0)) for name in ("layer", "unit"))
        if model is None or layer >= len(model.sites) or unit >= model.sites[layer].units:
            return None
        return model, layer, unit

    async def _read(self, work: Callable[[], bytes]) -> Response:
        try:
            return _json(await to_thread.run_sync(work, limiter=self.readers))
        except InputError as error:  # a file of the study is damaged: the others can still be looked at
            return failure(500, self._without_paths(error))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _missing() -> Response:
    return failure(404, "there is nothing of that name in this study.")
