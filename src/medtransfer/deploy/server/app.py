"""The server's routes: predict, the bundle, health, and a page that loads nothing else."""

import asyncio
import html
import logging
import queue
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from medtransfer.deploy.bundle.card import NOT_A_DEVICE
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.server.batches import Batches, CaseAnswer
from medtransfer.deploy.server.config import ServerConfig
from medtransfer.deploy.server.requests import (
    RateLimit,
    RequestError,
    check_token,
    read_body,
    request_case,
)
from medtransfer.errors import MedTransferError, listed

LOG = logging.getLogger(__name__)
PATHS = ("/", "/health", "/bundle", "/predict", "/openapi.json")
"""Paths that are named in the log; any other could hold an identifier."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
IMAGE_KINDS = ("application/dicom", "image/png", "image/jpeg", "application/octet-stream")
Next = Callable[[Request], Awaitable[Response]]
Json = dict[str, object]
Routes = dict[str, dict[str, dict[str, str]]]
"""Path to method to summary and description."""


def server_app(model: BundleModel, config: ServerConfig) -> FastAPI:
    """The application.

    Args:
        model: That predicts.
        config: Token and limits.
    """
    batches = Batches(model, config.max_waiting)
    names = () if model.clinical is None else tuple(model.clinical.names)
    limit = RateLimit(config.requests_per_minute)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        batches.close()

    app = FastAPI(
        title="medtransfer",
        version=model.facts.medtransfer,
        description=NOT_A_DEVICE,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    if config.is_local:
        # another page in a browser of this machine must not reach it under a name of its own
        hosts = ["localhost", "127.0.0.1", "[::1]", "testserver", config.host]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.middleware("http")(_logged)
    app.exception_handler(RequestError)(_refused)
    app.exception_handler(MedTransferError)(_unusable)
    app.exception_handler(Exception)(_failed)

    @app.get("/health", summary="State of the server")
    def health() -> Json:  # pyright: ignore[reportUnusedFunction]: a route
        return {
            "status": "expired" if model.has_expired else "ok",
            "bundle": model.bundle.digest[:12],
        }

    @app.get("/bundle", summary="Targets, operating points, detectors and origin of the bundle")
    def bundle(request: Request) -> Json:  # pyright: ignore[reportUnusedFunction]: a route
        check_token(config.token, request.headers.get("authorization"))
        return bundle_answer(model)

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]: a route
        text = routes_page(app, model)
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})

    @app.post(
        "/predict",
        summary="Prediction for one case",
        description="The body is one image (DICOM, PNG or JPEG), or multipart/form-data with the "
        "images of one case" + _fields_sentence(names) + ". The answer has the columns of "
        "`medtransfer predict`.",
        openapi_extra={"requestBody": {"required": True, "content": _body_schema(names)}},
    )
    async def predict(request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]: a route
        check_token(config.token, request.headers.get("authorization"))
        limit.take(request.client.host if request.client else "")
        check_expiry(model)
        length = request.headers.get("content-length")
        body = await read_body(request.stream(), length, config.max_bytes)
        kind = request.headers.get("content-type", "")
        case = request_case(body, kind, config.max_images, names)
        try:
            waiting = batches.submit(case)
        except queue.Full:
            raise RequestError(503, "Too many requests wait. Try again.", 1) from None
        answer = await asyncio.wrap_future(waiting)
        return JSONResponse(answer_json(model, answer), 200 if answer.is_predicted else 422)

    return app


def _fields_sentence(names: Sequence[str]) -> str:
    """Words on the fields of a form besides images."""
    return f" and fields with the clinical data that it sees ({listed(names, 20)})" * bool(names)


def _body_schema(names: Sequence[str]) -> dict[str, object]:
    """OpenAPI's description of the bodies that are taken."""
    binary = {"type": "string", "format": "binary"}
    bodies: dict[str, object] = {kind: {"schema": binary} for kind in IMAGE_KINDS}
    if names:
        fields = {"image": {"type": "array", "items": binary}}
        texts = {name: {"type": "string"} for name in names}
        bodies["multipart/form-data"] = {
            "schema": {"type": "object", "properties": {**fields, **texts}}
        }
    return bodies


def check_expiry(model: BundleModel) -> None:
    """Turn requests away after the bundle's last day, on which a server may still run.

    Raises:
        RequestError: The bundle has expired.
    """
    if model.has_expired:
        raise RequestError(503, f"The bundle expired on {model.facts.expires}.")


def answer_json(model: BundleModel, answer: CaseAnswer) -> Json:
    """An answer as JSON."""
    return {
        "bundle": model.bundle.digest,
        "prediction": answer.values if answer.is_predicted else None,
        "refused": [{"image": place, "reason": reason} for place, reason in answer.refused],
        **({} if answer.gaps is None else {"predicted_as_missing": dict(answer.gaps)}),
        "notice": NOT_A_DEVICE,
    }


def bundle_answer(model: BundleModel) -> Json:
    """Description of the bundle for a client."""
    facts = model.facts
    return {
        "name": facts.name,
        "digest": model.bundle.digest,
        "task": facts.task,
        "targets": [
            {"name": t.name, "calibrator": t.calibrator, "thresholds": dict(t.thresholds)}
            for t in facts.targets
        ],
        "detectors": [{"name": d.name, "threshold": d.threshold} for d in facts.detectors],
        **_clinical_answer(model),
        "modalities": sorted(model.rules.modalities),
        "expires": None if facts.expires is None else facts.expires.isoformat(),
        "notice": NOT_A_DEVICE,
    }


def _clinical_answer(model: BundleModel) -> Json:
    """Clinical data that the bundle sees; values are those of a category, None for a number."""
    if model.clinical is None:
        return {}
    columns = model.clinical.encoding.columns
    return {
        "clinical": [{"name": c.name, "values": list(c.categories) or None} for c in columns],
    }


def routes_page(app: FastAPI, model: BundleModel) -> str:
    """Page of the routes, from the OpenAPI description; it needs no script."""
    paths = cast("Routes", app.openapi()["paths"])
    rows = [
        f"<tr><td><code>{method.upper()} {html.escape(path)}</code></td>"
        f"<td>{html.escape(route.get('summary', ''))}</td>"
        f"<td>{html.escape(route.get('description', ''))}</td></tr>"
        for path, methods in paths.items()
        for method, route in methods.items()
    ]
    name = html.escape(model.facts.name)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{name}</title>"
        "<style>body{font:16px system-ui;margin:2rem;max-width:60rem}td{padding:.3rem 1rem .3rem 0;"
        "vertical-align:top}</style>"
        f"<h1>{name}</h1><p>{html.escape(NOT_A_DEVICE)}</p><table>{''.join(rows)}</table>"
        "<p>Machine-readable: <a href='openapi.json'>openapi.json</a></p></html>"
    )


async def _logged(request: Request, call_next: Next) -> Response:
    """Log method, known path, status and time; nothing that the client wrote."""
    begun = time.perf_counter()
    response = await call_next(request)
    path = request.url.path if request.url.path in PATHS else "(another path)"
    method = request.method if request.method in ("GET", "POST", "HEAD") else "(another method)"
    spent = (time.perf_counter() - begun) * 1000
    LOG.info("%s %s %d in %.0f ms", method, path, response.status_code, spent)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestError):
        raise error
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"reason": error.reason}, error.status, headers)


async def _unusable(_: Request, error: Exception) -> JSONResponse:
    LOG.error("a request failed: %s", type(error).__name__)
    return JSONResponse({"reason": "The bundle cannot be used; see the server's log."}, 500)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    LOG.error("a request failed: %s", type(error).__name__)  # a message may quote the request
    return JSONResponse({"reason": "The request could not be answered."}, 500)
