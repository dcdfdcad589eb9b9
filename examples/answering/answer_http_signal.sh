#!/bin/sh
# Answers an order over Temporal's HTTP API with a signal: answer_http_signal.sh order-1 approve-pen.
set -eu
thread=$1 request=$2

curl --silent --show-error --fail-with-body --header 'Content-Type: application/json' \
    "$TEMPORAL_HTTP/api/v1/namespaces/${TEMPORAL_NAMESPACE:-default}/workflows/$thread/signal/respond" \
    --data "{\"input\": [{\"request_id\": \"$request\", \"response\": {\"approved\": true}, \"responder\": \"curl\"}]}"
