#!/bin/sh
# Answers an order with a signal, which waits for nothing, not even a worker: answer_signal.sh order-1 approve-pen.
set -eu
thread=$1 request=$2

temporal workflow signal --workflow-id "$thread" --name respond \
    --input "{\"request_id\": \"$request\", \"response\": {\"approved\": true}, \"responder\": \"$(whoami)\"}"

# What became of it is in the event log: response_accepted, or response_rejected with the error.
temporal workflow result --workflow-id "$thread" --output json
temporal workflow query --workflow-id "$thread" --type events --input -1 --output json
