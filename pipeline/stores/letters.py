"""Beats, issues, what was frozen of them, and their audiences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from itertools import islice
from typing import Any, cast

import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.letters import (
    Beat,
    BeatState,
    EditionKind,
    EmptyBeat,
    Issue,
    IssueState,
    LetterStory,
    Rendered,
    Variant,
    Verdict,
)
from pipeline.stores import schema
from pipeline.stores.insert import insert_once
from pipeline.stores.missing import not_adopted

EDITABLE = ("subject", "preheader", "theme", "opening")
SHORTEST_REF = 4
CHUNK = 500


class SqlLetters:
    """Fits `LettersTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    # ── beats ────────────────────────────────────────────────────────────────────────────

    def lock(self, newsletter: str) -> None:
        self._newsletter_id(newsletter, lock=True)

    def beats(self, newsletter: str) -> Mapping[date, BeatState]:
        rows = self._connection.execute(
            sa.select(schema.beats.c.beat_on, schema.beats.c.state)
            .join(schema.newsletters)
            .where(schema.newsletters.c.key == newsletter)
            .order_by(schema.beats.c.beat_on)
        )
        return {on: cast(BeatState, state) for on, state in rows}

    def empty_beats(self, newsletter: str) -> Sequence[EmptyBeat]:
        beats, issues = schema.beats.c, schema.issues.c
        has_issue = sa.exists().where(
            issues.newsletter_id == beats.newsletter_id, issues.beat_on == beats.beat_on
        )
        rows = self._connection.execute(
            sa.select(beats.beat_on, beats.due_at, beats.reason)
            .join(schema.newsletters)
            .where(schema.newsletters.c.key == newsletter, beats.state == "missed", ~has_issue)
            .order_by(beats.beat_on.desc())
        )
        return [EmptyBeat(row.beat_on, row.due_at, row.reason) for row in rows]

    def record_beat(self, newsletter: str, beat: Beat, state: BeatState, reason: str = "") -> None:
        row = {
            "newsletter_id": self._newsletter_id(newsletter),
            "beat_on": beat.on,
            "planned_on": beat.planned_on,
            "due_at": beat.due_at,
            "state": state,
            "reason": reason,
        }
        if not insert_once(self._connection, schema.beats, row):
            self._connection.execute(
                sa.update(schema.beats)
                .where(
                    schema.beats.c.newsletter_id == row["newsletter_id"],
                    schema.beats.c.beat_on == beat.on,
                )
                .values(state=state, reason=reason)
            )

    # ── issues ───────────────────────────────────────────────────────────────────────────

    def open_issue(
        self,
        newsletter: str,
        beat: Beat,
        *,
        cut_off_at: datetime,
        deadline_at: datetime,
        subject: str,
        now: datetime,
    ) -> Issue:
        newsletter_id = self._newsletter_id(newsletter, lock=True)  # numbers without gaps
        opened = self.issue_on(newsletter, beat.on)
        if opened is not None:
            return opened
        numbers = sa.select(sa.func.coalesce(sa.func.max(schema.issues.c.number), 0) + 1).where(
            schema.issues.c.newsletter_id == newsletter_id
        )
        issue_id = self._connection.execute(
            sa.insert(schema.issues)
            .values(
                newsletter_id=newsletter_id,
                number=self._connection.execute(numbers).scalar_one(),
                beat_on=beat.on,
                due_at=beat.due_at,
                cut_off_at=cut_off_at,
                deadline_at=deadline_at,
                state="draft",
                subject=subject,
                opened_at=now,
            )
            .returning(schema.issues.c.id)
        ).scalar_one()
        return self.by_id(issue_id)

    def issue_on(self, newsletter: str, beat_on: date) -> Issue | None:
        row = self._connection.execute(
            _issues().where(
                schema.newsletters.c.key == newsletter, schema.issues.c.beat_on == beat_on
            )
        ).first()
        return _issue(row) if row else None

    def by_id(self, issue_id: int) -> Issue:
        row = self._connection.execute(_issues().where(schema.issues.c.id == issue_id)).first()
        if row is None:
            raise NotFound(f"There is no issue with the inner number {issue_id}.")
        return _issue(row)

    def find_issue(self, ref: str) -> Issue:
        named = self._by_name(ref.strip()) or self._by_public_id(ref.strip().lower())
        if named is None:
            raise NotFound(
                f"There is no issue “{ref}”.",
                "Name it as newsletter/number, such as weekly/12, or give only the newsletter "
                "for its latest one. `asterism issue list` lists them, `asterism issue open` opens "
                "the one that is near.",
            )
        return named

    def issues(self, newsletter: str = "") -> Sequence[Issue]:
        query = _issues().order_by(
            schema.issues.c.due_at.desc(), schema.newsletters.c.key, schema.issues.c.number.desc()
        )
        if newsletter:
            query = query.where(schema.newsletters.c.key == newsletter)
        return [_issue(row) for row in self._connection.execute(query)]

    def edit_issue(self, issue_id: int, revision: int, changes: Mapping[str, str]) -> Issue:
        unknown = sorted(set(changes) - set(EDITABLE))
        if unknown:
            raise BadInput(
                f"An issue has no field {', '.join(unknown)}.",
                f"Its fields are {', '.join(EDITABLE)}.",
            )
        done = self._connection.execute(
            sa.update(schema.issues)
            .where(schema.issues.c.id == issue_id, schema.issues.c.revision == revision)
            .values(**changes, revision=revision + 1)
        )
        issue = self.by_id(issue_id)
        if done.rowcount != 1:
            raise Conflict(
                f"Issue {issue.ref} changed since you opened it "
                f"(you hold revision {revision}, it is at {issue.revision}).",
                "Open it again, look at what is new, and repeat your change.",
            )
        return issue

    def set_state(
        self,
        issue_id: int,
        state: IssueState,
        *,
        reason: str = "",
        approved_by: str | None = None,
        approved_at: datetime | None = None,
        review_until: datetime | None = None,
        expect: Sequence[IssueState] = (),
    ) -> Issue:
        values: dict[str, Any] = {"state": state, "reason": reason}
        if approved_by is not None:
            values |= {"approved_by": approved_by, "approved_at": approved_at}
            values |= {"review_until": review_until}
        move = sa.update(schema.issues).where(schema.issues.c.id == issue_id).values(**values)
        if expect:
            move = move.where(schema.issues.c.state.in_(expect))
        done = self._connection.execute(move)
        issue = self.by_id(issue_id)
        if done.rowcount != 1:
            raise Conflict(
                f"Issue {issue.ref} is {issue.state.replace('_', ' ')}; "
                f"it cannot become {state.replace('_', ' ')}.",
                f"`asterism issue show {issue.ref}` tells where it stands.",
            )
        return issue

    # ── what was frozen ──────────────────────────────────────────────────────────────────

    def freeze_edition(
        self,
        issue_id: int,
        kind: EditionKind,
        language: str,
        template_digest: str,
        copies: Sequence[LetterStory],
        links: Sequence[tuple[int | None, str, str]],
        now: datetime,
    ) -> int:
        edition_id: int = self._connection.execute(
            sa.insert(schema.editions)
            .values(
                issue_id=issue_id,
                kind=kind,
                language=language,
                snippets=[_copy(story) for story in copies],
                template_digest=template_digest,
                frozen_at=now,
            )
            .returning(schema.editions.c.id)
        ).scalar_one()
        if links:
            self._connection.execute(
                sa.insert(schema.edition_links),
                [
                    {
                        "edition_id": edition_id,
                        "snippet_id": snippet_id,
                        "position": position,
                        "url": url,
                        "canonical_hash": canonical_hash,
                    }
                    for position, (snippet_id, url, canonical_hash) in enumerate(links, start=1)
                ],
            )
        return edition_id

    def freeze_variant(
        self,
        edition_id: int,
        key: str,
        rendered: Rendered,
        story_ids: Sequence[int],
        service_key: str = "",
    ) -> int:
        html, text = rendered.html.encode(), rendered.text.encode()
        variant_id: int = self._connection.execute(
            sa.insert(schema.variants)
            .values(
                edition_id=edition_id,
                key=key,
                subject=rendered.subject,
                html=html,
                text=text,
                digest=hashlib.sha256(html + b"\x00" + text).hexdigest(),
                story_ids=list(story_ids),
                service_key=service_key,
            )
            .returning(schema.variants.c.id)
        ).scalar_one()
        return variant_id

    def variant(self, variant_id: int) -> Variant:
        row = self._connection.execute(
            _variants().where(schema.variants.c.id == variant_id)
        ).first()
        if row is None:
            raise NotFound(f"There is no frozen variant {variant_id}.")
        return _variant(row)

    def variants(self, issue_id: int, kind: EditionKind | None = None) -> Sequence[Variant]:
        query = (
            _variants()
            .where(schema.editions.c.issue_id == issue_id, schema.editions.c.retired_at.is_(None))
            .order_by(schema.variants.c.id)
        )
        if kind is not None:
            query = query.where(schema.editions.c.kind == kind)
        return [_variant(row) for row in self._connection.execute(query)]

    def retire_editions(self, issue_id: int, now: datetime) -> None:
        self._connection.execute(
            sa.update(schema.editions)
            .where(schema.editions.c.issue_id == issue_id, schema.editions.c.retired_at.is_(None))
            .values(retired_at=now)
        )

    def used_links(self, newsletter: str, before_issue: int) -> Mapping[str, str]:
        earlier = self.by_id(before_issue)
        rows = self._connection.execute(
            sa.select(schema.edition_links.c.canonical_hash, schema.issues.c.number)
            .join(schema.editions, schema.editions.c.id == schema.edition_links.c.edition_id)
            .join(schema.issues, schema.issues.c.id == schema.editions.c.issue_id)
            .join(schema.newsletters, schema.newsletters.c.id == schema.issues.c.newsletter_id)
            .where(
                schema.newsletters.c.key == newsletter,
                schema.issues.c.number < earlier.number,
                sa.or_(
                    schema.editions.c.retired_at.is_(None),
                    schema.issues.c.state == "partly_sent",  # stopped when some had it
                ),
            )
            .order_by(schema.issues.c.number)
            .distinct()
        )
        return {link: f"{newsletter}/{number}" for link, number in rows}

    # ── audiences ────────────────────────────────────────────────────────────────────────

    def write_audience(self, issue_id: int, verdicts: Iterable[Verdict]) -> None:
        self._connection.execute(
            sa.delete(schema.audience).where(schema.audience.c.issue_id == issue_id)
        )
        rows = (
            {
                "issue_id": issue_id,
                "contact_id": verdict.contact_id,
                "is_in": verdict.into,
                "reason": verdict.reason,
                "detail": verdict.detail,
                "kind": verdict.kind,
                "language": verdict.language,
            }
            for verdict in verdicts
        )
        while chunk := list(islice(rows, CHUNK)):
            self._connection.execute(sa.insert(schema.audience), chunk)

    def audience(self, issue_id: int) -> Sequence[Verdict]:
        """Each verdict with the stories of the copy that was planned for it."""
        copy = sa.and_(
            schema.deliveries.c.issue_id == schema.audience.c.issue_id,
            schema.deliveries.c.contact_id == schema.audience.c.contact_id,
            schema.deliveries.c.purpose == "letter",
        )
        rows = self._connection.execute(
            sa.select(schema.audience, schema.variants.c.story_ids)
            .join(schema.deliveries, copy, isouter=True)
            .join(
                schema.variants,
                schema.variants.c.id == schema.deliveries.c.variant_id,
                isouter=True,
            )
            .where(schema.audience.c.issue_id == issue_id)
            .order_by(schema.audience.c.contact_id)
        )
        return [
            Verdict(
                contact_id=row.contact_id,
                into=row.is_in,
                reason=row.reason,
                detail=row.detail,
                kind=row.kind,
                language=row.language,
                story_ids=tuple(row.story_ids or ()) if row.is_in else (),
            )
            for row in rows
        ]

    # ── inside ───────────────────────────────────────────────────────────────────────────

    def _newsletter_id(self, key: str, *, lock: bool = False) -> int:
        query = sa.select(schema.newsletters.c.id).where(schema.newsletters.c.key == key)
        if lock:
            query = query.with_for_update(key_share=True)  # SQLite: the transaction is the lock
        found: int | None = self._connection.execute(query).scalar_one_or_none()
        if found is None:
            raise not_adopted("newsletter", key)
        return found

    def _by_name(self, ref: str) -> Issue | None:
        newsletter, _, number = ref.partition("/")
        query = _issues().where(schema.newsletters.c.key == newsletter)
        if number:
            if not (number.isascii() and number.isdigit() and len(number) < 10):
                return None
            query = query.where(schema.issues.c.number == int(number))
        row = self._connection.execute(
            query.order_by(schema.issues.c.number.desc()).limit(1)
        ).first()
        return _issue(row) if row else None

    def _by_public_id(self, ref: str) -> Issue | None:
        if len(ref) < SHORTEST_REF or not ref.isalnum():
            return None
        rows = self._connection.execute(
            _issues().where(schema.issues.c.public_id.startswith(ref, autoescape=True)).limit(2)
        ).all()
        if len(rows) > 1:
            raise BadInput(f"More than one issue begins with “{ref}”.", "Give more of its letters.")
        return _issue(rows[0]) if rows else None


def _issues() -> sa.Select[Any]:
    return (
        sa.select(
            schema.issues,
            schema.newsletters.c.key.label("newsletter_key"),
            schema.constellations.c.key.label("constellation_key"),
        )
        .join(schema.newsletters, schema.newsletters.c.id == schema.issues.c.newsletter_id)
        .join(
            schema.constellations,
            schema.constellations.c.id == schema.newsletters.c.constellation_id,
        )
    )


def _issue(row: sa.Row[Any]) -> Issue:
    return Issue(
        id=row.id,
        public_id=row.public_id,
        newsletter_key=row.newsletter_key,
        constellation_key=row.constellation_key,
        number=row.number,
        beat_on=row.beat_on,
        due_at=row.due_at,
        cut_off_at=row.cut_off_at,
        deadline_at=row.deadline_at,
        state=row.state,
        reason=row.reason,
        subject=row.subject,
        preheader=row.preheader,
        theme=row.theme,
        opening=row.opening,
        revision=row.revision,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        review_until=row.review_until,
    )


def _variants() -> sa.Select[Any]:
    return sa.select(
        schema.variants,
        schema.editions.c.kind,
        schema.editions.c.language,
        schema.editions.c.template_digest,
    ).join(schema.editions, schema.editions.c.id == schema.variants.c.edition_id)


def _variant(row: sa.Row[Any]) -> Variant:
    return Variant(
        id=row.id,
        edition_id=row.edition_id,
        kind=row.kind,
        language=row.language,
        key=row.key,
        subject=row.subject,
        html=bytes(row.html).decode(),
        text=bytes(row.text).decode(),
        template_digest=row.template_digest,
        story_ids=tuple(row.story_ids),
        service_key=row.service_key,
    )


def _copy(story: LetterStory) -> dict[str, Any]:
    published_on = story.published_on
    return {**asdict(story), "published_on": published_on.isoformat() if published_on else None}
