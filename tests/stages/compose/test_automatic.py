"""Issues that compose themselves: what goes in, when it goes, and that a hand always wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from threading import Barrier

import pytest
import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.rules.letters.automatic import AUTOMATIC
from pipeline.rules.letters.ledger import STOPPED
from pipeline.stages.compose import (
    approve,
    edit,
    open_issues,
    preview,
    show,
    stop,
)
from pipeline.stages.compose import compose_automatic as compose_alone
from pipeline.stages.curate import keep, remove
from pipeline.stages.deliver import deliver
from pipeline.stages.notify import send_notices
from pipeline.stores import schema
from tests.builders import DUE, NOW
from tests.compose_automatic import (
    MONTH,
    MONTH_DUE,
    REVIEW_AT,
    month_scene,
    open_month,
    weekly_goes_out,
)
from tests.compose_scene import log_of


def compose_automatic(ports):
    """As the scheduler does: what our people are told leaves at once."""
    done = compose_alone(ports)
    send_notices(ports)
    return done


ADA = "ada@northline.example"
FAY = "fay@northline.example"


@pytest.fixture
def scene(store, tmp_path):
    """A weekly went to Ada, Bo, Cem and Dag; Fay and Gil came after it, and the month is near."""
    scene = month_scene(store, tmp_path)
    scene.people()
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    scene.person("Gil", "skagen-ruter")
    return scene


def mails_of(tmp_path, ref):
    return {p: p.read_bytes() for p in (tmp_path / "mail" / ref).glob("*.eml")}


def verdicts(scene):
    with scene.store.read() as tables:
        return {
            tables.people.by_id(v.contact_id).first_name: v
            for v in tables.letters.audience(scene.issue(MONTH).id)
        }


def test_it_opens_empty_and_takes_no_story_from_the_weekly(scene):
    scene.story("Quay four opens an hour earlier", at=DUE)
    open_month(scene)
    assert scene.snippets(MONTH) == ()


def test_before_its_review_nothing_happens(scene):
    open_month(scene, REVIEW_AT - timedelta(minutes=1))
    assert compose_automatic(scene.ports).going == ()
    assert scene.snippets(MONTH) == ()
    assert scene.issue(MONTH).state == "draft"


def test_commented_stories_come_first_then_headlines_up_to_the_ceiling(scene):
    open_month(scene)
    for number, title in enumerate(("four", "five", "six")):
        scene.story(f"Quay {title} opens an hour earlier", at=DUE, score=5 - number)
    (going,) = compose_automatic(scene.ports).going
    assert (going.issue.state, going.issue.approved_by) == ("scheduled", AUTOMATIC)
    kept = scene.snippets(MONTH)
    assert [(s.section, s.title.split()[1]) for s in kept] == [
        ("main", "one"), ("main", "two"), ("main", "three"), ("noted", "four"), ("noted", "five"),
    ]  # fmt: skip
    first, headline = kept[0], kept[3]
    assert first.take == "We would not have waited for berth 1."
    assert (headline.take, headline.fact) == ("", "")
    assert log_of(scene, f"issue:{going.issue.public_id}") == ["open", "compose", "approve"]


def test_its_head_is_written_by_rule(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    issue = scene.issue(MONTH)
    assert issue.subject == "The Month at the Quays: 16 March 2027"
    assert issue.theme == "The month in short"
    assert issue.opening == ""
    assert show(scene.ports, MONTH).findings == ()


def test_in_german_where_the_newsletter_is_german(store, tmp_path):
    scene = month_scene(store, tmp_path, language="de")
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    open_month(scene)
    assert compose_automatic(scene.ports).going
    issue = scene.issue(MONTH)
    assert issue.subject == "The Month at the Quays: 16. März 2027"
    assert issue.theme == "Der Monat in Kürze"


def test_what_a_person_put_there_stays_first_and_their_head_stays(scene):
    story_id = scene.story("Quay seven sells its clock", at=DUE, score=0.1)
    open_month(scene, REVIEW_AT - timedelta(hours=30))
    eva = scene.acting("eva")
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([story_id])
    kept = keep(eva, MONTH, story.public_id).snippet
    with scene.store.write() as tables:
        words = {"fact": "It is sold.", "take": "Buy it.", "question": "Who winds it now?"}
        tables.snippets.edit(kept.id, kept.revision, words)
    edit(eva, MONTH, {"subject": "Who buys a clock"})
    scene.at(REVIEW_AT)
    assert compose_automatic(scene.ports).going
    assert [s.title.split()[1] for s in scene.snippets(MONTH)] == ["seven", "one", "two", "three"]
    assert scene.issue(MONTH).subject == "Who buys a clock"


def test_what_a_person_kept_without_a_take_stands_as_a_headline(scene):
    story_id = scene.story("Quay seven sells its clock", at=DUE, score=0.1)
    open_month(scene, REVIEW_AT - timedelta(hours=30))
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([story_id])
    keep(scene.acting("eva"), MONTH, story.public_id)
    scene.at(REVIEW_AT)
    assert compose_automatic(scene.ports).going
    last = scene.snippets(MONTH)[-1]
    assert (last.section, last.title, last.fact) == ("noted", "Quay seven sells its clock", "")


def test_what_a_person_took_out_does_not_come_back(scene):
    """A first look holds it back; then a person takes a story out of what was composed."""
    scene.story("Quay four opens an hour earlier", at=DUE)
    open_month(scene, REVIEW_AT - timedelta(hours=30))
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([scene.story_ids[1]])
        (headline,) = tables.stories.by_ids([scene.story_ids[3]])
    for one in (story, headline):
        keep(scene.acting("eva"), MONTH, one.public_id)
        remove(scene.acting("eva"), MONTH, one.public_id)
    scene.at(REVIEW_AT)
    assert compose_automatic(scene.ports).going
    assert [s.title.split()[1] for s in scene.snippets(MONTH)] == ["one", "three"]


def test_a_recap_goes_to_nobody_who_had_the_parts(scene, tmp_path):
    """Weekly to four, the month to the two who came later; nobody gets both."""
    open_month(scene)
    compose_automatic(scene.ports)
    found = verdicts(scene)
    assert {name for name, v in found.items() if v.into} == {"Fay", "Gil"}
    assert {found[name].reason for name in ("Ada", "Bo", "Cem", "Dag")} == {"had_recap"}
    scene.at(MONTH_DUE)
    deliver(scene.ports)
    weekly, month = mails_of(tmp_path, "ferry-weekly/1"), mails_of(tmp_path, "ferry-month/1")

    def readers(mails):
        return {
            name
            for name in ("ada", "bo", "cem", "dag", "fay", "gil")
            for raw in mails.values()
            if f"<{name}@".encode() in raw.split(b"\r\nSubject")[0]
        }

    assert readers(weekly) == {"ada", "bo", "cem", "dag"}
    assert readers(month) == {"fay", "gil"}
    assert any(b"coastwire.example/1" in raw for raw in month.values())  # the same links, again
    assert scene.issue(MONTH).state == "sent"


def test_who_came_late_to_the_weekly_gets_the_next_weekly_and_no_recap_after_it(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    scene.at(MONTH_DUE)
    deliver(scene.ports)
    for title in ("eight", "nine"):
        scene.write(scene.story(f"Quay {title} opens an hour earlier", at=MONTH_DUE), title=title)
    scene.finish()
    approve(scene.ports, "ferry-weekly/2")
    scene.at(DUE + timedelta(days=7))
    deliver(scene.ports)
    scene.at(MONTH_DUE + timedelta(days=35) - timedelta(hours=24))
    open_issues(scene.ports)
    compose_automatic(scene.ports)
    second = scene.issue("ferry-month/2")
    assert second.state in ("draft", "in_review")
    assert second.reason == "nobody would get it (6 who have had its stories)"


def test_the_review_is_the_letter(scene, tmp_path):
    """What is frozen at the start of the review are the bytes that go, whatever is done then."""
    open_month(scene)
    compose_automatic(scene.ports)
    seen = preview(scene.ports, MONTH, FAY)
    assert seen.frozen
    scene.at(MONTH_DUE)
    deliver(scene.ports)
    (mail,) = [
        raw for raw in mails_of(tmp_path, "ferry-month/1").values()
        if f"<{FAY}>".encode() in raw.split(b"\r\nSubject")[0]
    ]  # fmt: skip
    parts = message_from_bytes(mail, policy=policy.SMTP)
    html = parts.get_body(("html",)).get_content().replace("\r\n", "\n")
    assert html.strip() == seen.html.strip()


def test_its_copies_wait_for_the_end_of_the_review(scene):
    open_month(scene, REVIEW_AT + timedelta(hours=3))
    (going,) = compose_automatic(scene.ports).going
    until = MONTH_DUE + timedelta(hours=3)
    assert going.issue.review_until == until
    scene.at(MONTH_DUE + timedelta(hours=2))
    assert deliver(scene.ports).total("accepted") == 0
    scene.at(until)
    assert deliver(scene.ports).total("accepted") == 4  # two letters, two sales editions


def test_it_may_still_be_late_after_a_review_that_ended_late(scene):
    """The late policy counts from the review's end, so a whole window is no lateness."""
    open_month(scene, REVIEW_AT + timedelta(hours=20))
    compose_automatic(scene.ports)
    scene.at(MONTH_DUE + timedelta(hours=30))
    assert deliver(scene.ports).total("accepted") == 4


def test_a_review_that_would_end_too_late_does_not_begin(scene):
    open_month(scene, MONTH_DUE + timedelta(hours=1))
    (held,) = compose_automatic(scene.ports).held_back
    assert held.over
    assert "24 hours of review" in held.reason
    issue = scene.issue(MONTH)
    assert (issue.state, issue.reason) == ("missed", held.reason)
    with scene.store.read() as tables:
        assert tables.letters.beats(MONTH)[issue.beat_on] == "missed"


def test_while_a_hand_can_still_approve_it_is_only_held_back(store, tmp_path):
    """Its newsletter does not go late at all, and the machine slept over the review's start."""
    rhythm = replace(month_scene(store, tmp_path).ports.catalog.newsletter(MONTH).rhythm,
                     late="skip")  # fmt: skip
    scene = month_scene(store, tmp_path, rhythm=rhythm)
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    open_month(scene, MONTH_DUE - timedelta(hours=10))
    (held,) = compose_automatic(scene.ports).held_back
    assert not held.over
    assert scene.issue(MONTH).state in ("draft", "in_review")
    scene.at(MONTH_DUE - timedelta(hours=1))
    assert compose_automatic(scene.ports).held_back == (held,)
    scene.at(MONTH_DUE)
    (held,) = compose_automatic(scene.ports).held_back
    assert held.over
    assert scene.issue(MONTH).state == "missed"


@pytest.mark.parametrize("fallback", ["skip", "headlines"])
def test_with_too_few_commented_stories(store, tmp_path, fallback):
    scene = month_scene(store, tmp_path, fallback=fallback, recap_of="")
    scene.person("Fay", "northline")
    open_month(scene)
    scene.story("Quay four opens an hour earlier", at=DUE)
    scene.story("Quay five opens an hour earlier", at=DUE)
    done = compose_automatic(scene.ports)
    issue = scene.issue(MONTH)
    if fallback == "headlines":
        assert done.going
        assert issue.theme == "The month in headlines"
        assert [s.section for s in scene.snippets(MONTH)] == ["noted", "noted"]
        scene.at(MONTH_DUE)
        assert deliver(scene.ports).total("accepted") == 3
    else:
        assert not done.going
        assert issue.reason == "0 of the 2 commented stories that it needs"
        scene.at(MONTH_DUE + timedelta(days=2))
        open_issues(scene.ports)
        missed = scene.issue(MONTH)
        assert (missed.state, missed.reason) == ("missed", issue.reason)


def test_a_single_headline_is_no_issue_where_the_floor_is_two(store, tmp_path):
    scene = month_scene(store, tmp_path, fallback="headlines", recap_of="")
    scene.person("Fay", "northline")
    open_month(scene)
    scene.story("Quay four opens an hour earlier", at=DUE)
    (held,) = compose_automatic(scene.ports).held_back
    assert held.reason == "1 of the 2 stories that it needs, headlines counted"
    assert scene.issue(MONTH).state == "draft"


def test_with_nothing_new_it_says_so_and_tries_again(store, tmp_path):
    scene = month_scene(store, tmp_path, fallback="headlines")
    scene.person("Fay", "northline")
    open_month(scene)
    (held,) = compose_automatic(scene.ports).held_back
    assert held.reason == "there is nothing new to tell"
    revision = scene.issue(MONTH).revision
    assert compose_automatic(scene.ports).held_back == (held,)
    assert scene.issue(MONTH).revision == revision
    scene.story("Quay four opens an hour earlier", at=REVIEW_AT - timedelta(hours=5))
    scene.story("Quay five opens an hour earlier", at=REVIEW_AT - timedelta(hours=5))
    scene.at(REVIEW_AT + timedelta(hours=1))
    assert compose_automatic(scene.ports).going
    issue = scene.issue(MONTH)
    assert issue.reason == ""
    with scene.store.read() as tables:
        assert tables.reasons.beat_of(issue.id)["reason"] == ""


def test_what_lint_holds_back_from_people_is_held_back_here(scene):
    open_month(scene, REVIEW_AT - timedelta(hours=30))
    edit(scene.acting("eva"), MONTH, {"subject": "{{nonsense}} of the month"})
    scene.at(REVIEW_AT)
    (held,) = compose_automatic(scene.ports).held_back
    assert "subject" in held.reason
    assert scene.snippets(MONTH)  # composed, so that a person can mend it
    edit(scene.ports, MONTH, {"subject": "Sense"})
    assert compose_automatic(scene.ports).going


def test_a_confidence_is_never_copied(store, tmp_path):
    scene = month_scene(store, tmp_path)
    secret = scene.story("Northline sells its slow berth", kind="note", url="")
    with scene.store.write() as tables:
        tables.snippets.vouch(secret, "northline", is_public=False)
    for number in (1, 2):
        scene.story(f"Quay {number} opens an hour earlier", score=9)
    open_issues(scene.ports)
    scene.write(secret, fact="x", take="x", general_wording="Slow berths are for sale.")
    scene.finish()
    number = next(
        n for n, one in enumerate(show(scene.ports, "ferry-weekly").stories)
        if one.snippet.story_id == secret
    )  # fmt: skip
    approve(scene.ports, "ferry-weekly", clear=[str(number + 1)])
    scene.at(DUE)
    deliver(scene.ports)
    scene.person("Fay", "blue-strait")
    open_month(scene)
    compose_automatic(scene.ports)
    kept = scene.snippets(MONTH)
    assert kept
    assert secret not in {snippet.story_id for snippet in kept}


def test_words_of_an_issue_that_nobody_approved_are_not_copied(store, tmp_path):
    scene = month_scene(store, tmp_path)
    scene.person("Fay", "northline")
    scene.ready()
    open_month(scene)
    compose_automatic(scene.ports)
    assert not [s for s in scene.snippets(MONTH) if s.take]


def test_words_of_an_issue_that_was_stopped_half_way_are_not_said_again(scene):
    """A relay took one copy, then somebody saw the mistake."""
    open_month(scene)
    weekly = scene.issue("ferry-weekly/1")
    with scene.store.write() as tables:
        (copy, *_) = tables.deliveries.of_issue(weekly.id)
        connection = tables.letters._connection
        connection.execute(
            sa.update(schema.deliveries)
            .where(schema.deliveries.c.id == copy.id)
            .values(state="withheld", reason=STOPPED)
        )
        tables.letters.set_state(weekly.id, "partly_sent", reason="stopped by liv")
    compose_automatic(scene.ports)
    assert scene.snippets(MONTH) == ()


# ── hands ────────────────────────────────────────────────────────────────────────────────


def test_a_stopped_one_is_not_taken_up_again(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    stopped = stop(scene.acting("eva"), MONTH, "a typo")
    assert stopped.held_back == 4
    again = compose_automatic(scene.ports)
    assert (again.going, again.held_back) == ((), ())
    assert scene.issue(MONTH).state == "stopped"


def test_a_hand_takes_a_stopped_one_up_again_on_its_beat(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    stop(scene.acting("eva"), MONTH, "a typo")
    edit(scene.ports, MONTH, {"theme": "The month, mended"})
    approved = approve(scene.ports, MONTH)
    assert (approved.issue.approved_by, approved.issue.review_until) == ("liv", None)
    scene.at(MONTH_DUE)
    assert deliver(scene.ports).total("accepted") == 4


def test_one_that_a_person_approved_is_left_alone(scene):
    story = scene.story_ids[0]
    open_month(scene, REVIEW_AT - timedelta(hours=30))
    with scene.store.write() as tables:
        issue = tables.letters.find_issue(MONTH)
        for number in (1, 2):
            words = {
                "title": f"Quay {number}, seen again", "fact": "It opens.", "take": "Good.",
                "question": "Who comes?",
            }  # fmt: skip
            tables.snippets.keep(issue.id, story + number - 1, "main", **words)
    edit(scene.ports, MONTH, {"theme": "By hand"})
    approve(scene.ports, MONTH)
    scene.at(REVIEW_AT)
    assert compose_automatic(scene.ports).going == ()
    assert scene.issue(MONTH).approved_by == "liv"


def test_a_person_who_writes_while_it_renders_wins(scene):
    open_month(scene)
    wrote = []

    def meanwhile(done, total, what):
        if what == "editions" and not wrote:
            wrote.append(edit(replace(scene.ports, actor="liv"), MONTH, {"theme": "Liv’s month"}))

    first = compose_automatic(replace(scene.ports, progress=meanwhile))
    assert first.going == ()
    assert scene.issue(MONTH).state in ("draft", "in_review")
    (going,) = compose_automatic(scene.ports).going
    assert going.issue.theme == "Liv’s month"


def test_of_two_runs_at_once_one_composes(scene):
    open_month(scene)
    inner = []

    def meanwhile(done, total, what):
        if what == "editions" and not inner:
            inner.append(None)
            inner[0] = compose_automatic(replace(scene.ports, progress=lambda *_: None))

    outer = compose_automatic(replace(scene.ports, progress=meanwhile))
    assert len(inner[0].going) == 1
    assert (outer.going, outer.held_back) == ((), ())
    assert log_of(scene, f"issue:{scene.issue(MONTH).public_id}") == ["open", "compose", "approve"]


def test_of_four_processes_at_once_one_composes(scene):
    """The same, with real transactions side by side."""
    open_month(scene)
    gate = Barrier(4)

    def run(_):
        gate.wait(timeout=60)
        return compose_automatic(scene.ports)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(run, range(4)))
    assert sum(len(one.going) for one in done) == 1
    assert [one for one in done if one.held_back] == []
    assert log_of(scene, f"issue:{scene.issue(MONTH).public_id}") == ["open", "compose", "approve"]
    with scene.store.read() as tables:
        counts = tables.deliveries.counts(scene.issue(MONTH).id)
    assert counts == {("letter", "planned"): 2, ("sales", "planned"): 2}


class Killed(Exception):
    """The process ends here."""


def test_a_run_that_dies_half_way_leaves_nothing_half(scene):
    open_month(scene)

    def dies(done, total, what):
        if what == "editions":
            raise Killed

    with pytest.raises(Killed):
        compose_automatic(replace(scene.ports, progress=dies))
    assert scene.issue(MONTH).state in ("draft", "in_review")
    with scene.store.read() as tables:
        assert tables.letters.variants(scene.issue(MONTH).id) == []
    (going,) = compose_automatic(scene.ports).going
    assert [s.title.split()[1] for s in scene.snippets(MONTH)] == ["one", "two", "three"]
    assert going.arithmetic.letters == 2


def test_who_left_during_the_review_gets_no_copy(scene):
    open_month(scene)
    compose_automatic(scene.ports)
    with scene.store.write() as tables:
        fay = tables.people.find(FAY)
        tables.people.suppress(fay.id, "*", "left", NOW, "on the page")
    scene.at(MONTH_DUE)
    done = deliver(scene.ports)
    assert (done.total("accepted"), done.total("withheld")) == (3, 1)


def test_only_the_approver_still_approves_by_hand(scene):
    open_month(scene)
    with pytest.raises(Conflict, match="Only Liv Haugen approves"):
        approve(scene.acting(AUTOMATIC), MONTH)
