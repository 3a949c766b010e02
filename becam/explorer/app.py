"""The explorer as a web application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from becam import web
from becam.attribution import Explainer
from becam.attribution.labels import Sources
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.explorer import downloads, limits, question
from becam.explorer.catalogue import Catalogue
from becam.explorer.explorer import Explorer
from becam.explorer.guard import Guard, Hosts
from becam.explorer.pictures import MEDIA_TYPE
from becam.explorer.refusal import Refusal
from becam.explorer.uploads import MAX_BYTES
from becam.explorer.work import Ticket, Work

_SUGGESTIONS = 24
_HEARTBEAT = 10.0
_HANG_UP = (408, 413, 503)
_LEFT = 499
"""What servers write down of a client that has left; nobody reads the answer."""
_KEEP = {"Cache-Control": "private, max-age=600"}
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_SHARED = ("theme.css", "theme.js", "map.js", "elements.js")

Words = Annotated[str, Query(max_length=limits.WORDS)]
Identifier = Annotated[str, Query(max_length=limits.IDENTIFIER)]
Client = Annotated[str, Header(alias="X-Becam-Client", max_length=limits.NAME)]
Index = Annotated[int, InPath(ge=0, le=2**53)]


def create_app(
    checkpoints: Sources,
    dataset: Dataset | str | Path | None = None,
    *,
    hosts: Hosts | None = None,
    work: Work | None = None,
    **options: Any,
) -> FastAPI:
    """The explorer of some checkpoints, for any ASGI server; one process serves it.

    Args:
        checkpoints: checkpoints, or paths of them.
        dataset: that they were trained on, or its folder: for pictures and texts of items.
        hosts: names that it answers to; by default those of this machine for itself.
        work: the queue; by default one of the usual length.
        options: of :class:`becam.Explainer`.

    Raises:
        BecamError: see :class:`becam.Explainer` and :class:`Catalogue`.
    """
    opened = Dataset.open(dataset) if isinstance(dataset, (str, Path)) else dataset
    explainer = Explainer(checkpoints, **{"no_adapter": True, "randomise": False, **options})
    known = {id(column.checkpoint): column.checkpoint for column in explainer.columns}
    catalogue = Catalogue(list(known.values()), opened)
    explorer = Explorer(explainer, catalogue, work or Work())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        explorer.close()

    # FastAPI's own pages of documentation load scripts from a network.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.explorer = explorer
    app.add_middleware(Guard, hosts=hosts or Hosts())
    app.add_exception_handler(BecamError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_values)
    app.add_exception_handler(HTTPException, _refuse_paths)
    app.add_exception_handler(ClientDisconnect, _left)
    _add_page(app)
    _add_catalogue(app, explorer)
    _add_pictures(app, explorer)
    _add_explanations(app, explorer)
    return app


def _add_page(app: FastAPI) -> None:
    """The page and its parts: these very files, whatever a path says."""
    page = files("becam.explorer").joinpath("page")
    parts = {part.name: part.read_bytes() for part in page.iterdir() if part.is_file()}
    parts |= {name: web.asset(name).encode() for name in _SHARED}

    def part(name: str) -> Callable[[], Response]:
        return lambda: Response(parts[name], media_type=_MEDIA_TYPES[Path(name).suffix])

    app.get("/")(part("index.html"))
    for name in parts:
        app.get(f"/page/{name}")(part(name))


def _add_catalogue(app: FastAPI, explorer: Explorer) -> None:
    catalogue = explorer.catalogue

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        return explorer.about()

    @app.get("/api/items")
    def items(query: Words = "") -> list[dict[str, Any]]:
        return [asdict(item) for item in catalogue.find_items(query, _SUGGESTIONS)]

    @app.get("/api/items/random")
    def random_item() -> dict[str, Any]:
        return asdict(catalogue.random_item())

    @app.get("/api/item")
    def item(id: Identifier) -> dict[str, Any]:
        return asdict(catalogue.item(id))

    @app.get("/api/users")
    def users(query: Words = "", item: Identifier | None = None) -> list[dict[str, Any]]:
        return [asdict(user) for user in catalogue.find_users(query, _SUGGESTIONS, item)]


def _add_pictures(app: FastAPI, explorer: Explorer) -> None:
    @app.post("/api/pictures")
    async def upload(request: Request, name: Words = "picture") -> dict[str, Any]:
        async with explorer.intake.body(request, MAX_BYTES, "The picture") as data:
            found = await explorer.upload(data, name)
        if await request.is_disconnected():
            raise ClientDisconnect
        return explorer.keep(found)

    @app.get("/api/pictures/{id}")
    def uploaded(id: str) -> Response:
        found = explorer.uploads.get(id)
        if found is None:
            raise Refusal(410, "The picture is no longer kept; choose it again.")
        return Response(found.shown, media_type=MEDIA_TYPE)

    @app.get("/api/items/{index}/picture")
    async def item_picture(index: Index) -> Response:
        shown = await explorer.shown(explorer.item_picture(index))
        return Response(shown, media_type=MEDIA_TYPE, headers=_KEEP)

    @app.get("/api/items/{index}/thumbnail")
    async def thumbnail(index: Index) -> Response:
        shown = await explorer.thumbnail(explorer.item_picture(index))
        return Response(shown, media_type=MEDIA_TYPE, headers=_KEEP)


def _add_explanations(app: FastAPI, explorer: Explorer) -> None:
    @app.post("/api/explanations")
    async def explain(request: Request, client: Client = "") -> Response:
        limit = limits.QUESTION_BYTES
        async with explorer.intake.body(request, limit, "The request") as body:
            asked = question.parse(bytes(body))
        answer = await run_in_threadpool(explorer.ask, asked)
        owner = client or (request.client.host if request.client else "")
        ticket = explorer.work.submit(owner, partial(explorer.task, answer))
        return _Events(ticket, explorer.work)

    @app.get("/api/answers/{id}/{file}")
    def download(id: str, file: str) -> Response:
        answer = explorer.answers.get(id)
        if answer is None:
            raise Refusal(410, "These maps are no longer kept; make them again.")
        if file not in downloads.FILES:
            raise Refusal(404, f"There is no such file; there are {', '.join(downloads.FILES)}.")
        kind = downloads.FILES[file]
        return Response(
            kind.make(answer, explorer),
            media_type=kind.media_type,
            headers={"Content-Disposition": f'attachment; filename="becam-{file}"'},
        )


class _Events(StreamingResponse):
    """What a ticket tells, as server-sent events; whoever leaves cancels it."""

    def __init__(self, ticket: Ticket, work: Work) -> None:
        super().__init__(self._lines(), media_type="text/event-stream")
        self._ticket = ticket
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            self._work.cancel(self._ticket)

    async def _lines(self) -> AsyncIterator[str]:
        # A line now and then, since only who is spoken to can be seen to have left.
        async for event in self._ticket.events(_HEARTBEAT):
            if event is None:
                yield ": at work\n\n"
            else:
                name, values = event
                yield f"event: {name}\ndata: {web.script_json(values)}\n\n"


async def _refuse(_request: Request, error: Exception) -> Response:
    status, headers = 422, {}
    if isinstance(error, Refusal):
        status = error.status
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        if status in _HANG_UP:
            headers["Connection"] = "close"  # or the rest would still be read
    return JSONResponse({"detail": str(error)}, status, headers)


async def _refuse_paths(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "There is nothing at this address", 405: "This address does not take that"}
    sentence = said.get(error.status_code, error.detail)
    return JSONResponse({"detail": f"{sentence}."}, error.status_code, error.headers)


async def _left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_LEFT)


async def _refuse_values(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}."}, 422)
