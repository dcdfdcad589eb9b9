"""Bounds that the workflow decides by: part of replay.

A run may be replayed long after it began, by a worker of a later release, and has to decide as it did. So these never
change for a run that has begun: after a release none of them is edited, see "Changing the workflow after a release" in
CONTRIBUTING.md. The bounds of single fields in `RespondSignal` and `CancelSignal` are part of replay as well. Modules
read them as `limits.NAME`, so that a test can change one for all of them.
"""

from __future__ import annotations

from datetime import timedelta

# When a run continues as new.

MAX_WAITING_BYTES = 256 * 1024
MAX_WAITING_EVENTS = 1_000
"""A run with a large history continues as new at a pause when it has grown by one of these since its first."""

MAX_SIGNAL_BYTES = 256 * 1024
MAX_SIGNALS = 500
"""A run that has got so much continues as new at a pause, however small its history is. The server takes no
continue-as-new while another signal comes in, and the worker then replays the run: the less there is to replay, the
sooner one gets through a flood, before the history has grown to where the server ends the run (50 MB)."""

ASK_AGAIN_AFTER = 20
"""Supersteps between two questions of a run whose graph the current version does not have; each costs 6 events."""

# Which answers it takes.

MAX_BATCH = 1_000
"""Answers, or cancellations, in one signal or update."""
MAX_EARLY = 1_000
"""Answers kept for requests that are not asked yet."""
MAX_EARLY_BYTES = 192 * 1024
"""Their total size: anybody can send them, and a run that continues as new hands them on in one payload."""
MAX_QUEUED_BYTES = 384 * 1024
"""Total size of answers to pending requests that wait for their superstep; each of them must fit its input too."""
MAX_REPEATED = 10
"""Answers to one request that wait behind its first, in case that is refused."""
MAX_ANSWERED = 10_000
"""Ids remembered as answered, to tell a repeated answer from an early one."""

# Which run it begins.

MAX_SECONDS = 100 * 365 * 24 * 3600.0
"""Of a duration; much more is no date."""

# What its commands hold.

TIMEOUT_GRACE = timedelta(seconds=30)
"""The activity ends a superstep that takes too long itself, so that its events are not lost; the server is the second
line, for an executor that cannot be cancelled."""
MAX_WORKER_LOSSES = 100
"""Attempts of one superstep beyond `max_attempts`: a lost worker is not the executor's failure."""
MAX_OUTPUTS_BYTES = 64 * 1024
"""Outputs in the run's result, the first of them; all are in the event log."""
MAX_TAIL_BYTES = 64 * 1024
"""Of the event log, what a run hands to the one it continues as."""
MAX_HANDED_ON_BYTES = 128 * 1024
"""Of the ids remembered as answered, the newest that a run that continues as new hands on."""
MAX_REFUSED = 3
"""Refused answers that a pending request tells of."""
MAX_REFUSED_TEXT = 500
MAX_REFUSED_BYTES = 64 * 1024
"""Their total size over all requests: query `pending_requests` and the next run carry them."""
MAX_REJECTED = 10
"""Records of one batch that is rejected whole: a signal of a thousand answers must not push everything else out."""
MAX_DEFERRED = 1_000
"""Records that wait for a superstep; what comes beyond is counted."""
