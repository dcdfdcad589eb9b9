"""The application: FastAPI's routes and its OpenAPI document, behind the guard."""

from __future__ import annotations

import importlib.metadata
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException

from .checkpoint_routes import checkpoint_routes
from .guard import Guard
from .models import Service as ServiceModel
from .models import WorkflowDetail, WorkflowSummary
from .pages import page_routes
from .problems import MEDIA_TYPE, Problem, ProblemError, documented, problem_of
from .reading_routes import reading_routes
from .service import Service
from .settings import API_PREFIX, AppSettings, AsgiApp
from .thread_routes import thread_routes

_PACKAGE = "agent-framework-temporal"


class _Part(Convertor[str]):
    """A part of a path that was quoted, so that an id may have slashes in it; see the guard."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("part", _Part())


def build_api(settings: AppSettings) -> AsgiApp:
    """Return the application.

    Args:
        settings: What `http_app` was given, checked.
    """
    service = Service(settings)
    version = importlib.metadata.version(_PACKAGE)
    app = FastAPI(
        title=_PACKAGE,
        version=version,
        description="Threads of durable agent-framework workflows: start, follow, answer, compare, fork, edit.",
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=documented(),
        exception_handlers={
            HTTPException: _http_problem,
            RequestValidationError: _validation_problem,
            ProblemError: _problem,
            Exception: _problem,
        },
    )
    router = APIRouter(prefix=API_PREFIX)
    router.include_router(_service_routes(service, version))
    router.include_router(reading_routes(service))
    router.include_router(thread_routes(service))
    router.include_router(checkpoint_routes(service))
    app.include_router(router)
    app.include_router(page_routes(service))
    _describe(app, secured=settings.token is not None or settings.authenticate is not None)
    return Guard(_answering(app, service), settings)


def _service_routes(service: Service, version: str) -> APIRouter:
    router = APIRouter(tags=["service"])

    @router.get("/service", summary="What this service is connected to")
    async def shown() -> ServiceModel:
        return ServiceModel(
            version=version,
            namespace=service.client.namespace,
            task_queue=service.settings.task_queue,
            workflows=sorted(await service.threads.hosted()),
            temporal_ui=service.temporal_ui,
            links=service.settings.link_key is not None,
            sealed=service.is_sealed,
        )

    @router.get("/workflows", summary="The workflows that this service knows, with their input types")
    async def workflows() -> list[WorkflowSummary]:
        return [hosted.summary() for hosted in (await service.threads.hosted()).values()]

    @router.get("/workflows/{name:part}", summary="A workflow with its graph")
    async def workflow(name: str) -> WorkflowDetail:
        hosted = await service.threads.workflow(name)
        return WorkflowDetail(**hosted.summary().model_dump(), graph=hosted.workflow.to_dict())

    return router


async def _problem(request: Request, error: Exception) -> JSONResponse:
    return _response(problem_of(error))


async def _http_problem(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return _response(problem_of(error))
    kinds = {404: "not-found", 405: "method-not-allowed"}
    details = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    status = error.status_code
    detail = details.get(status, str(error.detail))
    return _response(ProblemError(status, kinds.get(status, "not-taken"), detail, headers=error.headers))


async def _validation_problem(request: Request, error: Exception) -> JSONResponse:
    places: list[str] = []
    if isinstance(error, RequestValidationError):
        # Never what was sent: that may be anything, and long.
        places = [f"{'.'.join(map(str, item['loc']))[:200]}: {item['msg'][:300]}" for item in error.errors()[:20]]
    return _response(ProblemError(422, "not-valid", "The request does not match the API description.", errors=places))


def _response(error: ProblemError) -> JSONResponse:
    content = error.problem.model_dump(exclude_none=True)
    return JSONResponse(content, error.problem.status, headers=error.headers, media_type=MEDIA_TYPE)


def _answering(app: FastAPI, service: Service) -> AsgiApp:
    """Return the application without the error that its server error middleware raises again once it has answered.

    What was read before something was sent, or meanwhile, is forgotten.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        begun = False

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await app(scope, receive, noted)
        except Exception:
            if not begun or scope["type"] != "http":
                raise
        finally:
            if scope["type"] == "http" and scope["method"] != "GET":
                service.reads.changed()

    return answer


def _describe(app: FastAPI, *, secured: bool) -> None:
    """Make the OpenAPI document say what is true of every operation."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = made()
        parts = document.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        if secured:
            parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"bearer": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
