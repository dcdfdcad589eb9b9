# The worker as an image: it serves what AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS names on AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE,
# at TEMPORAL_ADDRESS. The content-approval example is in it as a workflow to begin with; for your own, build on it:
#
#     FROM agent-framework-temporal-worker
#     COPY --chown=worker my_workflows /app/my_workflows
#     ENV AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS=my_workflows:build
#
# Every package in it is pinned by version and hash; `make lock` renews the pins, `make sbom` lists them.
#
# It could not be built where it was made; what it does is tested there step by step (tests/packaging).

FROM python:3.12-slim AS build
WORKDIR /src
COPY deploy/requirements deploy/requirements
RUN pip install --no-cache-dir --require-hashes --requirement deploy/requirements/build.txt
COPY pyproject.toml README.md LICENSE py.typed __init__.py __init__.pyi worker.py ./
COPY adapter adapter
COPY activities activities
COPY workflows workflows
RUN python -m build --wheel --no-isolation --outdir /dist

FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home worker
COPY deploy/requirements/worker.txt /requirements.txt
RUN pip install --no-cache-dir --require-hashes --requirement /requirements.txt
COPY --from=build /dist /dist
RUN pip install --no-cache-dir --no-deps --no-index /dist/*.whl && rm -r /dist
WORKDIR /app
COPY examples examples
USER worker
ENV AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS=examples.content_approval.workflow:content_approval \
    AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE=content-approval
# The worker is process 1, so `docker stop` tells it to stop. Give it more time than its --shutdown-timeout of 25 s.
ENTRYPOINT ["agent-framework-temporal-worker"]
