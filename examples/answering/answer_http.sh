#!/bin/sh
# Answers an order over Temporal's HTTP API: answer_http.sh order-1 approve-pen. TEMPORAL_HTTP names the API, for
# instance http://localhost:7243 of `agent-framework-temporal-dev-server --http-port 7243`; a server behind an authorizer
# wants an Authorization header besides.
set -eu
thread=$1 request=$2
workflow="$TEMPORAL_HTTP/api/v1/namespaces/${TEMPORAL_NAMESPACE:-default}/workflows/$thread"

post() {
    curl --silent --show-error --fail-with-body --header 'Content-Type: application/json' "$workflow/$1" --data "$2"
    echo
}

# What is asked: {"queryResult": [[request, ...]]}.
post query/pending_requests '{}'

# An update says at once whether the answer is taken: `outcome.success`, or `outcome.failure` with the errors. Its id is
# yours to choose; one that is repeated, for instance because a connection was lost, is not taken twice.
update() {
    printf '{"request": {"meta": {"updateId": "%s"}, "input": {"args": [%s]}},' "$1" "$2"
    printf ' "waitPolicy": {"lifecycleStage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"}}'
}
post update/respond "$(update wrong "{\"request_id\": \"$request\", \"response\": {\"approved\": \"perhaps\"}}")"
post update/respond "$(update right "{\"request_id\": \"$request\", \"response\": {\"approved\": true}}")"
