"""Respond links: one address that answers one request, for a mail. What it says is signed, and ends at a time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ValidationError

from ...workflows.exported import exported
from ..checkpoints.handle import Checkpoint, thread_id_of
from .problems import ProblemError

DEFAULT_EXPIRY = timedelta(days=7)
MAX_EXPIRY = timedelta(days=366)
_MAX_TOKEN = 6_000
_PURPOSE = b"agent-framework-temporal respond link 1:"


class _Claim(BaseModel):
    n: str
    """Namespace."""
    t: str
    """Thread."""
    r: str
    """Request."""
    a: str | None = None
    """When it was asked, so that a later request of that id is another one."""
    e: int
    """Expiry, seconds since 1970."""
    w: str | None = None
    """Who answers."""


@dataclass(frozen=True, slots=True)
class RespondClaim:
    """What a respond link allows."""

    thread_id: str
    request_id: str
    asked_at: str | None
    responder: str | None
    expires_at: datetime


@exported
def respond_link(
    base_url: str,
    key: bytes,
    checkpoint: Checkpoint | str,
    request_id: str,
    *,
    namespace: str = "default",
    asked_at: str | None = None,
    responder: str | None = None,
    expires_in: timedelta = DEFAULT_EXPIRY,
) -> str:
    """Return an address at which one request is answered, by whoever has it; no round trip.

    Opened in a browser it shows a form, without a script; sent, the form answers.

    Args:
        base_url: Where `http_app` is served: `https://host/path`.
        key: Its `link_key`.
        checkpoint: The thread that asks, or its id.
        request_id: The request.
        namespace: Temporal namespace.
        asked_at: `PendingRequest.asked_at`: then a later request of the same id is not answered by it.
        responder: Who is given the link: noted as who answers.
        expires_in: How long it is good for; at most a year.

    Raises:
        ValueError: When it would never be good, or for too long.
    """
    if not timedelta(0) < expires_in <= MAX_EXPIRY:
        raise ValueError(f"`expires_in` must be more than 0 and at most {MAX_EXPIRY.days} days, got {expires_in!r}.")
    expires = int((datetime.now(UTC) + expires_in).timestamp())
    claim = _Claim(n=namespace, t=thread_id_of(checkpoint), r=request_id, a=asked_at, e=expires, w=responder)
    said = claim.model_dump_json(exclude_none=True).encode()
    token = f"{_text(said)}.{_text(_signature(key, said))}"
    if len(token) > _MAX_TOKEN:
        raise ValueError("The ids are too long for a URL.")
    return f"{base_url.rstrip('/')}/answer/{token}"


def read_link(key: bytes, token: str, namespace: str) -> RespondClaim:
    """Return what a link allows.

    Raises:
        ProblemError: When it is not signed by the key, of another namespace, or over.
    """
    forged = ProblemError(403, "bad-link", "This link is not valid, or was cut short. Ask for it again.")
    try:
        said, signature = (_bytes(part) for part in token.split("."))
    except (ValueError, binascii.Error):
        raise forged from None
    if len(token) > _MAX_TOKEN or not hmac.compare_digest(signature, _signature(key, said)):
        raise forged
    try:
        claim = _Claim.model_validate_json(said)
    except ValidationError:
        raise forged from None
    if claim.n != namespace:
        raise forged
    expires = datetime.fromtimestamp(claim.e, UTC)
    if datetime.now(UTC) >= expires:
        raise ProblemError(410, "link-expired", "This link has expired. Ask for another.")
    return RespondClaim(claim.t, claim.r, claim.a, claim.w, expires)


def _signature(key: bytes, said: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + said, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    found = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    if _text(found) != text:
        raise ValueError("another spelling of it")
    return found
