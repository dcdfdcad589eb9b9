#!/bin/sh
# Answers an order with the `temporal` command: answer.sh order-1 approve-pen. TEMPORAL_ADDRESS names the server.
set -eu
thread=$1 request=$2

# What is asked, with the JSON Schema of the answer.
temporal workflow query --workflow-id "$thread" --type pending_requests --output json

# An update says at once whether the answer is taken. This one is not: the exit status is 1, the errors are printed, and
# nothing is written to history.
if temporal workflow update execute --workflow-id "$thread" --name respond \
    --input "{\"request_id\": \"$request\", \"response\": {\"approved\": \"perhaps\"}}"; then
    exit 1
fi

# This one is.
temporal workflow update execute --workflow-id "$thread" --name respond \
    --input "{\"request_id\": \"$request\", \"response\": {\"approved\": true}, \"responder\": \"$(whoami)\"}"

# Waits until the run is over, and prints its outputs.
temporal workflow result --workflow-id "$thread" --output json
