"""Bounds that the workflow decides by: part of replay.

A run may be replayed long after it began, by a worker of a later release, and has to decide as it did. So these never
change for a run that has begun: after a release none of them is edited, see "Changing the workflow after a release" in
CONTRIBUTING.md. What `value_limits.py` says, and the bounds of single fields in `messages.py`, are part of replay as
well. Modules read these as `limits.NAME`, so that a test can change one for all of them.
"""

from __future__ import annotations

from datetime import timedelta

# When a run continues as new.

MAX_WAITING_BYTES = 256 * 1024
MAX_WAITING_EVENTS = 1_000
"""A run with a large history continues as new at a pause when it has grown by one of these since its first."""

MAX_SIGNALS_BYTES = 256 * 1024
MAX_SIGNALS = 500
"""A run that has got so much continues as new at a pause, however small its history is."""
CALM_SIGNALS = 3
"""A workflow task that brings more of them is in the middle of a flood. The server takes no continue-as-new while
another signal comes in; the worker then has to replay the run, and while it does more of them come than the server
keeps for it (100, or 2 MB). A flood is outrun by handling it as it comes, and continued from in its first lull."""
LULL = timedelta(seconds=1)
"""After so long a run that should continue as new looks again."""

ASK_AGAIN_AFTER = 20
"""Supersteps between two questions of a run whose graph the current version does not have; each costs 6 events."""

# Which signals it looks at, and when.

TASK_COST = 300_000
"""What a workflow task reads, in microseconds by the clock of a processor that is nobody else's; the rest waits for a
timer, which takes about a second. These are what a signal costs, a byte of it and each answer in it."""
SIGNAL_COST = 25
BYTE_COST = 0.02
ANSWER_COST = 2
PUT_OFF_SECONDS = 0.05
"""After so long the next workflow task reads on."""
MAX_SIGNAL_BYTES = 1_200_000
"""Of a signal, or an argument, as it comes; what a larger one holds is too much, however it is written."""
MAX_READ = 20
"""Signals of a run that are read from external storage; each notes it with 2 history events."""
MAX_NOTED = 100
"""Signals of a run that a codec could not decode and that are noted so; further ones are taken to stay so."""

# Which answers it takes.

MAX_BATCH = 1_000
"""Answers, or cancellations, in one signal or update."""
MAX_EARLY = 1_000
"""Answers kept for requests that are not asked yet."""
MAX_EARLY_BYTES = 192 * 1024
"""Their total size: anybody can send them, and a run that continues as new hands them on in one payload."""
MAX_EARLY_REPEATED = 100
"""Answers kept for one request that is not asked yet: what it takes is not known before."""
MAX_QUEUED_BYTES = 384 * 1024
"""Total size of answers to pending requests that wait for their superstep; each of them must fit its input too."""
LARGE_BYTES = 4 * 1024
MAX_DISPLACING = 10
"""Answers of a batch for which others that cannot fit give way, where there is no room: those to the same requests, and
those that are large."""
MAX_REPEATED = 10
"""Answers to one request that wait behind its first, in case that is refused."""
MAX_ANSWERED = 10_000
"""Ids remembered as answered, to tell a repeated answer from an early one."""
MAX_SCHEMAS_BYTES = 128 * 1024
"""Of all schemas of a run's requests; those beyond are left out, and pydantic on the worker alone decides."""
MAX_SCHEMA_BYTES = 64 * 1024
"""Of a larger schema nothing is checked: to compile it would hold up the workflow task."""
MAX_BACKTRACKS = 100_000
"""A pattern of the type's author meets a text of anybody: a workflow task must not be held up by it."""

# Which messages it keeps for later.

MAX_MESSAGES = 100
"""Messages in the queue; one more is refused."""
MAX_MESSAGES_BYTES = 192 * 1024
"""Their total size: a run that continues as new hands them on in one payload."""
MAX_TAKEN = 100
"""Ids remembered of messages that were taken, so that one that is sent again is not run again."""
MAX_REFUSED_MESSAGES = 20
"""Messages that were withdrawn or refused and that `status` tells of."""
MAX_REFUSED_MESSAGE = 300
"""Characters of what it says of each."""

# Which run it begins, and which outcome of a superstep it takes.

MAX_OFFSET = 10**12
"""A thread that writes a thousand events a second gets there in thirty years."""
MAX_OPTIONS_BYTES = 64 * 1024
"""Options travel with each run of a thread, beside what that run hands on."""
MAX_REFUSED_OUTCOMES = 10
"""Refused outcomes of one superstep, after which the run fails: its last good checkpoint stays usable."""
REFUSED_AT_ONCE = 3
"""After so many a superstep that runs again waits before, each time twice as long."""
LONGEST_PAUSE = 30.0
"""Seconds that it waits at most."""

# What its commands hold.

TIMEOUT_GRACE = timedelta(seconds=30)
"""The activity ends a superstep that takes too long itself, so that its events are not lost; the server is the second
line, for an executor that cannot be cancelled."""
MAX_NOT_BEGUN = 30
"""Attempts that a worker was given and never began, as its event loop was blocked or it could not read the input."""
LONGEST_WAIT = timedelta(minutes=5)
"""Between attempts whose worker was lost, or that never began."""
MAX_OUTPUTS_BYTES = 64 * 1024
"""Outputs in the run's result, the first of them; all are in the event log."""
MAX_COUNTED = 100
"""Executors whose tokens a run tells apart, and kinds of calls; those beyond are counted together."""
MAX_COUNTED_NAME = 200
MAX_COUNT = 2**53
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
MAX_TOLD = 1_000
"""Refusals that a run tells one by one; what comes beyond is counted: nobody reads the audit of a flood, and each
record pushes another out of the event log."""
