# The worker as an image: it serves what AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS names on AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE,
# at TEMPORAL_ADDRESS. The content-approval example is in it as a workflow to begin with; for your own, build on it:
#
#     FROM agent-framework-temporal-worker
#     COPY --chown=worker my_workflows /app/my_workflows
#     ENV AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS=my_workflows:build
#
# It could not be built where it was made; what it does is tested there step by step (tests/packaging).

FROM python:3.12-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir "build>=1.2"
COPY pyproject.toml README.md LICENSE py.typed __init__.py worker.py ./
COPY adapter adapter
COPY activities activities
COPY workflows workflows
RUN python -m build --wheel --outdir /dist

FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home worker
COPY --from=build /dist /dist
# The example can use OpenAI; without CONTENT_APPROVAL_MODEL it runs offline.
RUN pip install --no-cache-dir /dist/*.whl "agent-framework-openai>=1.17,<2" && rm -r /dist
WORKDIR /app
COPY examples examples
USER worker
ENV AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS=examples.content_approval.workflow:content_approval \
    AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE=content-approval
# The worker is process 1, so `docker stop` tells it to stop. Give it more time than its --shutdown-timeout of 25 s.
ENTRYPOINT ["agent-framework-temporal-worker"]
