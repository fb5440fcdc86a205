"""Delivers to a mail relay by SMTP: one line kept for a run, one recipient per transaction."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import BadInput, Down, SenderRefused
from pipeline.model.letters import Batch, Envelope, Fate, Recall, Receipt
from pipeline.rules.mask import mask
from pipeline.rules.people.address import domain_of
from pipeline.settings import SmtpSettings
from pipeline.transports.smtp_line import LineLost, Reply
from pipeline.transports.smtp_open import Relay, open_relay
from pipeline.transports.smtp_words import is_of_sender, is_ours, said

#: How long to wait before a lost line is opened again, once for each try.
PAUSES_S = (1.0, 4.0)
#: What comes before the final dot must be over in so many answers' times.
LETTER_TIMES = 2
#: One copy's time with all its tries: less than a run may be silent before others take over.
COPY_S = 280.0
#: After so many letters in a row that found no answer, the relay is left alone for this run.
MOST_LOST = 3
#: How long a relay is waited for when we take back what is half done, or take our leave.
FORMALITY_S = 5.0
#: How we name ourselves when no letter says in whose name we come.
PROBING = "[127.0.0.1]"

_ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)


class SmtpTransport:
    """Fits `Transport`. Until the final dot has left, a failure costs nothing; from then on a
    missing answer leaves one letter in doubt, and never more than one.
    """

    name = "smtp"
    #: SMTP remembers nothing that we could ask for, so that each copy which is marked as on its
    #: way when we are killed stays in doubt: one at a time.
    batch_size = 1

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
        copy_s: float = COPY_S,
    ) -> None:
        self._settings = settings
        self._pauses_s = tuple(pauses_s)
        self._before_s = copy_s - settings.timeout_s  # the rest is for the answer to the end
        self._ends_at = 0.0
        self._relay: Relay | None = None
        self._lost = 0  # letters in a row that found no answer

    def open_batch(self) -> None:
        """SMTP knows no batch."""

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        """Move each copy; the next one is asked for when the receipt of the last was taken.

        Raises: Down when the relay cannot be reached, does not let us in, or refuses what
                would be the same for every copy, SenderRefused when it would be so for every
                copy of this sender; the copy at hand has not left then
        """
        for envelope in envelopes:
            try:
                letter = _letter(envelope)
            except BadInput as wrong:
                yield Receipt(envelope.delivery_public_id, "refused", wrong.message)
            else:
                yield self._move(letter)

    def fates(
        self, delivery_public_ids: Sequence[str], batch: Batch | None = None
    ) -> Mapping[str, Fate]:
        """A relay cannot be asked what it took."""
        return dict.fromkeys(delivery_public_ids, "unknown")

    def can_call_back(self, batch: Batch) -> bool:
        """What a relay has taken has left."""
        return False

    def call_back(self, batch: Batch) -> Recall:
        """Nothing comes back."""
        return Recall("stays")

    def finish(self) -> None:
        """Say good-bye and hang up; the line is opened again when there is a letter."""
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.line.allow(min(FORMALITY_S, self._settings.timeout_s))
            with suppress(LineLost):  # every letter has its answer already
                relay.line.ask(b"QUIT")
            relay.line.close()

    def probe(self) -> str:
        """Open a line and sign in, and hang up again.

        Raises: Down
        """
        settings = self._settings
        self._ends_at = time.monotonic() + self._before_s
        self._ready(PROBING)
        self.finish()
        how = f"lets us in as {settings.user}" if settings.user else "answers without a sign-in"
        sealed = "in the clear" if settings.tls == "none" else "sealed by TLS"
        return f"{settings.host}:{settings.port} {how}, {sealed}."

    # ── one copy ─────────────────────────────────────────────────────────────────────────

    def _move(self, letter: _Letter) -> Receipt:
        """Its receipt; after a line that was lost before the final dot, of a second try."""
        if self._lost >= MOST_LOST:
            self._lost = 0
            raise _away(self._settings, f"left {MOST_LOST} letters in a row without an answer")
        self._ends_at = time.monotonic() + self._before_s
        try:
            receipt = self._try(letter, last=False) or self._try(letter, last=True)
        except BaseException:
            self._hang_up()  # whatever it was, the line is in the middle of something
            raise
        assert receipt is not None  # noqa: S101  the last try always ends with one
        return receipt

    def _try(self, letter: _Letter, *, last: bool) -> Receipt | None:
        """One transaction; None when the letter has surely not left and may be tried anew."""
        relay = self._ready(letter.own_name)
        if relay.size_bytes and letter.size_bytes > relay.size_bytes:
            return Receipt(
                letter.id,
                "refused",
                f"the letter has {letter.size_bytes} bytes, and the relay takes at most "
                f"{relay.size_bytes}",
            )
        used = relay.carried > 0
        relay.line.allow(min(LETTER_TIMES * self._settings.timeout_s, self._left()))
        try:
            answer = _hand_over(relay, letter)
        except LineLost as lost:
            self._hang_up()
            if not last and self._left() > 0:
                return None
            return self._unanswered(letter, "deferred", lost, "")
        if answer is None:
            return self._finish_letter(relay, letter)
        step, reply = answer
        if reply.code == 421 or step == "the letter":
            self._hang_up()  # it does so, too; or stands in the middle of our letter
        if step == "MAIL" and reply.kind == 4 and used and not last:
            self._hang_up()
            return None  # so many letters to a line, and a new line for the next ones
        self._lost = 0
        return self._verdict(letter, step, reply)

    def _finish_letter(self, relay: Relay, letter: _Letter) -> Receipt:
        """The final dot: from here on the relay may have the letter, whatever we hear."""
        relay.line.allow(self._settings.timeout_s)
        try:
            reply = relay.line.end()
            if reply.kind not in (2, 4, 5):
                raise LineLost(f"answered {said(reply, letter.hidden)} to the end of the letter")
        except LineLost as lost:
            self._hang_up()
            return self._unanswered(
                letter, "unknown", lost, "; it may have the letter, or not: nobody knows"
            )
        self._lost = 0
        relay.carried += 1
        relay.dirty = False
        if reply.code == 421:
            self._hang_up()
        return self._verdict(letter, "the end of the letter", reply)

    def _verdict(self, letter: _Letter, step: str, reply: Reply) -> Receipt:
        words = said(reply, letter.hidden)
        if reply.kind == 2:
            return Receipt(letter.id, "accepted", words)
        if is_ours(reply):
            raise _our_fault(step, words)
        if is_of_sender(reply, step):
            raise _not_from(letter.from_, step, words)
        return Receipt(letter.id, "deferred" if reply.kind == 4 else "refused", words)

    def _unanswered(
        self, letter: _Letter, outcome: Literal["deferred", "unknown"], lost: LineLost, end: str
    ) -> Receipt:
        self._lost += 1
        return Receipt(letter.id, outcome, f"the relay {lost.what}{end}")

    # ── the line ─────────────────────────────────────────────────────────────────────────

    def _ready(self, own_name: str) -> Relay:
        """A line that is fit for a letter: the one at hand, or a new one.

        Raises: Down
        """
        if self._relay is not None and _is_fit(
            self._relay, min(FORMALITY_S, self._settings.timeout_s)
        ):
            return self._relay
        self._hang_up()
        self._relay = self._opened(own_name)
        return self._relay

    def _opened(self, own_name: str) -> Relay:
        """A new line. Where it is refused or breaks, a few tries; silence is not asked twice."""
        began = time.monotonic()
        for pause_s in self._pauses_s:
            try:
                return open_relay(self._settings, own_name, self._left())
            except LineLost as lost:
                if time.monotonic() - began >= self._settings.timeout_s:
                    raise _away(self._settings, lost.what) from None
            time.sleep(pause_s)
        try:
            return open_relay(self._settings, own_name, self._left())
        except LineLost as lost:
            raise _away(self._settings, lost.what) from None

    def _left(self) -> float:
        """Seconds that remain for this copy before its end is sent."""
        return self._ends_at - time.monotonic()

    def _hang_up(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.line.close()


def _is_fit(relay: Relay, within_s: float) -> bool:
    """Whether the line stands and waits for a letter; what was half done is taken back."""
    relay.line.allow(within_s)
    try:
        if relay.dirty and relay.line.ask(b"RSET").kind != 2:
            return False
        relay.dirty = False
        return relay.line.unasked() is None
    except LineLost:
        return False


def _hand_over(relay: Relay, letter: _Letter) -> tuple[str, Reply] | None:
    """Everything but the final dot; the step and the reply that ended it early, if one did.

    Raises: LineLost; the relay does not have the letter
    """
    size = b" SIZE=%d" % letter.size_bytes if relay.takes_size else b""
    steps = (
        (b"MAIL FROM:<%s>%s" % (letter.sender, size), 2),
        (b"RCPT TO:<%s>" % letter.recipient, 2),
        (b"DATA", 3),
    )
    for command, wanted in steps:
        step = command[:4].decode()
        reply = relay.line.ask(command, step)
        if reply.kind != wanted:
            if reply.kind < 4:
                raise LineLost(f"answered {said(reply, letter.hidden)} to {step}")
            return step, reply
        relay.dirty = True
    refusal = relay.line.tell(letter.body)
    return None if refusal is None else ("the letter", refusal)


# ── what can be sent ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Letter:
    """A copy in the form that the wire wants."""

    id: str
    own_name: str  #: the sender's domain
    from_: str  #: as the envelope has it
    sender: bytes
    recipient: bytes
    body: bytes  #: ends with a line's end; leading dots are doubled
    size_bytes: int  #: without the doubled dots (RFC 1870 §3)
    hidden: tuple[str, ...]  #: what no message repeats


def _letter(envelope: Envelope) -> _Letter:
    """A copy made ready for the wire, where only its dots change.

    Raises: BadInput when SMTP cannot carry it unchanged
    Source: RFC 5321 §2.3.8 (CRLF only: a lone LF lets a letter smuggle in another), §4.5.2
    """
    message = envelope.message
    ends = message.count(b"\r\n")
    whole_ends = ends == message.count(b"\r") == message.count(b"\n")
    if not whole_ends or not message.isascii() or b"\0" in message:
        raise BadInput("the letter holds a lone line break, or a byte that is not ASCII")
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    sender, own_name = _path(envelope.sender)
    recipient, _ = _path(envelope.recipient)
    return _Letter(
        id=envelope.delivery_public_id,
        own_name=own_name,
        from_=envelope.sender,
        sender=sender,
        recipient=recipient,
        body=(b"." if message.startswith(b".") else b"") + message.replace(b"\n.", b"\n.."),
        size_bytes=len(message),
        hidden=(envelope.sender, envelope.recipient),
    )


def _path(address: str) -> tuple[bytes, str]:
    """An address as it stands in MAIL and RCPT, and its domain.

    Raises: BadInput, without the address
    """
    local, _, raw_domain = address.rpartition("@")
    if not local.isascii():
        raise BadInput("the address has letters beyond a to z before the @")
    if not local or not local.isprintable() or re.search(r"[\s<>\"\\]", local):
        raise BadInput("the address cannot stand in an envelope")
    domain = domain_of(raw_domain)
    written = local if _ATOMS.fullmatch(local) else f'"{local}"'
    return f"{written}@{domain}".encode("ascii"), domain


# ── in words ─────────────────────────────────────────────────────────────────────────────


def _our_fault(step: str, words: str) -> Down:
    return Down(
        f"The mail relay refuses our mail, whoever it is for: {words} (answer to {step}).",
        "It is about our set-up, not about a reader: see that ASTERISM_SMTP_USER may send from "
        "the addresses in firm.yaml, that the relay wants no other sign-in, and that the "
        "account may still send today. Nothing is lost: the copies wait.",
    )


def _not_from(sender: str, step: str, words: str) -> SenderRefused:
    return SenderRefused(
        f"The mail relay refuses mail from {mask(sender)}, whoever it is for: {words} (answer to "
        f"{step}).",
        "See that ASTERISM_SMTP_USER may send from this address, or name another `sender` in the "
        "constellation's file. Nothing is lost: its copies wait while they are on time.",
        sender=sender,
    )


def _away(settings: SmtpSettings, what: str) -> Down:
    return Down(
        f"The mail relay {settings.host}:{settings.port} {what}.",
        "Look at ASTERISM_SMTP_HOST, ASTERISM_SMTP_PORT and ASTERISM_SMTP_TLS, and whether the "
        "relay is up. Nothing is lost: the copies wait.",
    )
