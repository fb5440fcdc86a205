"""Mail among ourselves, from what is due to a file in the outbox: once to each, whatever dies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from pipeline.errors import Down, SenderRefused
from pipeline.model.letters import Batch, Envelope, Receipt
from pipeline.stages.compose import approve, compose_automatic, open_issues, stop
from pipeline.stages.deliver import deliver
from pipeline.stages.notify import NoticesSent, Reminded, remind, send_notices
from tests.builders import DUE
from tests.compose_automatic import (
    MONTH,
    MONTH_DUE,
    REVIEW_AT,
    month_before_review,
    month_scene,
    open_month,
)
from tests.compose_scene import build_scene


@dataclass
class ScriptedTransport:
    """Answers each copy with the next outcome; then it dies, or everything is accepted."""

    outcomes: list[str | Exception] = field(default_factory=list)
    sent: list[Envelope] = field(default_factory=list)
    fate: str = "unknown"
    name: str = "smtp"
    batch_size: int = 1

    def open_batch(self) -> None:
        return None

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        for envelope in envelopes:
            outcome = self.outcomes.pop(0) if self.outcomes else "accepted"
            if isinstance(outcome, Exception):
                raise outcome
            self.sent.append(envelope)
            yield Receipt(envelope.delivery_public_id, outcome)

    def fates(self, public_ids, batch=None):
        return dict.fromkeys(public_ids, self.fate)

    def finish(self) -> None:
        pass


@pytest.fixture
def month(store, tmp_path):
    return month_before_review(store, tmp_path)


@pytest.fixture
def weekly(store, tmp_path):
    """A weekly that nobody has written."""
    scene = build_scene(store, tmp_path)
    scene.story("Quay 1 opens an hour earlier")
    scene.open()
    scene.at(scene.issue().cut_off_at - timedelta(hours=5))
    return scene


def notices(scene, ref):
    with scene.store.read() as tables:
        return tables.notices.of(f"issue:{tables.letters.find_issue(ref).public_id}")


def written(reminded: Reminded, newsletter: str = "") -> list[tuple[str, str]]:
    return [(one.kind, one.name) for one in reminded.written if one.ref.startswith(newsletter)]


def test_an_unwritten_issue_is_told_to_curator_and_backup_once(weekly):
    assert written(remind(weekly.ports)) == [
        ("write", "Eva Brandt"), ("write_backup", "Tom Reyes"),
    ]  # fmt: skip
    assert written(remind(weekly.ports)) == []
    first, second = notices(weekly, "ferry-weekly")
    assert "it has no take" in first.text
    assert "asterism curate export ferry-weekly/1" in first.text
    assert "Eva Brandt has not finished it" in second.text.replace("\n", " ")


def test_a_written_issue_is_told_to_its_approver(weekly):
    weekly.story("Quay 2 opens an hour earlier")
    weekly.write(weekly.story_ids[1], title="Quay 2 opens an hour earlier")
    weekly.finish()
    assert written(remind(weekly.ports)) == []
    weekly.at(weekly.issue().cut_off_at)
    assert written(remind(weekly.ports)) == [("approve", "Liv Haugen")]
    (one,) = notices(weekly, "ferry-weekly")
    assert "asterism --as liv issue approve ferry-weekly/1" in one.text


def test_a_missed_issue_says_why(weekly):
    weekly.at(DUE + timedelta(days=2))
    open_issues(weekly.ports)
    assert written(remind(weekly.ports)) == [("not_sent", "Eva Brandt"), ("not_sent", "Liv Haugen")]
    text = notices(weekly, "ferry-weekly/1")[0].text.replace("\n", " ")
    assert "Why: nobody approved the issue in time." in text


def test_a_sender_that_is_refused_too_long_is_told_to_its_people(store, tmp_path):
    scene = build_scene(store, tmp_path)
    scene.people()
    issue = scene.ready()
    approve(scene.acting("liv"), issue.ref)

    class Strict(ScriptedTransport):
        def send(self, envelopes, batch=None):
            for envelope in envelopes:
                raise SenderRefused("The relay does not know this sender.", sender=envelope.sender)
            yield from ()

    scene.at(issue.due_at)
    with pytest.raises(SenderRefused, match="Letters of other senders went on"):
        deliver(replace(scene.ports, transport=Strict()))
    assert scene.issue().state == "sending"
    scene.at(issue.due_at + timedelta(hours=26))
    deliver(replace(scene.ports, transport=ScriptedTransport()))
    assert scene.issue().state == "missed"
    assert written(remind(scene.ports)) == [("not_sent", "Eva Brandt"), ("not_sent", "Liv Haugen")]
    text = notices(scene, issue.ref)[0].text.replace("\n", " ")
    assert "26 hours late: it does not go out any more" in text


def test_the_review_mail_has_what_its_approver_needs(month):
    """It is written down with the issue's freezing, so that none goes without it."""
    compose_automatic(month.ports)
    assert written(remind(month.ports)) == []
    (one,) = notices(month, MONTH)
    assert (one.kind, one.name) == ("review", "Liv Haugen")
    flat = one.text.replace("\n", " ")
    assert (
        one.subject == "The Month at the Quays (no. 1) goes out by itself on 16 March 2027, 08:00"
    )
    assert "Tuesday 16 March 2027, 08:00 (Europe/Oslo), unless somebody stops it" in flat
    assert "It goes to 1 of 5 contacts; 4 are left out (4 who have had its stories)." in flat
    for title in ("Quay one", "Quay two", "Quay three"):
        assert f"- {title} opens an hour earlier" in one.text
    issue = month.issue(MONTH)
    for purpose in ("preview", "stop"):
        (token,) = set(re.findall(rf"https://letters\.quaytide\.example/{purpose}/(\S+)", one.text))
        assert month.ports.tokens.read(purpose, token) == issue.public_id
        assert f"/{purpose}/{token}" in one.html
    assert "@northline.example" not in one.html + one.text


def test_what_is_held_back_is_told_once_and_again_when_it_is_missed(store, tmp_path):
    scene = month_scene(store, tmp_path)
    scene.person("Fay", "northline")
    open_month(scene)
    compose_automatic(scene.ports)
    both = ["Eva Brandt", "Liv Haugen"]
    assert written(remind(scene.ports)) == [("held_back", name) for name in both]
    assert "There is nothing new to tell." in notices(scene, MONTH)[0].text
    scene.at(REVIEW_AT + timedelta(hours=2))
    compose_automatic(scene.ports)
    assert written(remind(scene.ports)) == []
    scene.at(MONTH_DUE + timedelta(hours=2))
    compose_automatic(scene.ports)
    assert written(remind(scene.ports), MONTH) == [("not_sent", name) for name in both]


def test_one_that_was_stopped_is_not_announced_again(month):
    compose_automatic(month.ports)
    stop(month.acting("eva"), MONTH, "a typo")
    assert written(remind(month.ports)) == []


def test_two_who_look_at_once_write_one(weekly):
    """The second looks while the first reads its templates."""
    inner = []

    class Slow:
        def template(self, name):
            if not inner:
                inner.append(written(remind(weekly.ports)))
            return weekly.ports.workspace.template(name)

    outer = written(remind(replace(weekly.ports, workspace=Slow())))
    assert (len(inner[0]), outer) == (2, [])
    assert len(notices(weekly, "ferry-weekly")) == 2


# ── a beat that has no issue ─────────────────────────────────────────────────────────────


def asleep(scene, weeks: int) -> None:
    """Off until two days after a beat, and then it looks."""
    scene.at(DUE + timedelta(days=7 * weeks + 2))
    open_issues(scene.ports)


def beat_notices(scene, day: str):
    with scene.store.read() as tables:
        return tables.notices.of(f"beat:ferry-weekly/{day}")


def test_a_beat_without_an_issue_is_told_once_to_the_same_people(weekly):
    asleep(weekly, 1)
    both = [("no_issue", "Eva Brandt"), ("no_issue", "Liv Haugen")]
    first = remind(weekly.ports)
    assert [one for one in written(first) if one[0] == "no_issue"] == both
    assert {one.ref for one in first.written if one.kind == "no_issue"} == {"ferry-weekly"}
    assert written(remind(weekly.ports)) == []
    one, _ = beat_notices(weekly, "2027-03-18")
    flat = one.text.replace("\n", " ")
    assert one.subject == "Between Quays did not go out on 18 March 2027"
    assert "Why: no issue was opened for it: the program did not run in time." in flat
    assert "Nor did it go out on" not in flat


def test_after_a_long_sleep_one_mail_tells_of_all(weekly):
    asleep(weekly, 4)
    told = [one for one in written(remind(weekly.ports)) if one[0] == "no_issue"]
    assert told == [("no_issue", "Eva Brandt"), ("no_issue", "Liv Haugen")]
    one, _ = beat_notices(weekly, "2027-04-08")
    assert one.text.count("Thursday") == 4  # the last in the sentence, the others in the list
    for day in ("1 April", "18 March"):
        assert f"- Thursday {day} 2027, 07:30" in one.text
    weekly.at(DUE + timedelta(days=44))  # it slept over another one
    open_issues(weekly.ports)
    remind(weekly.ports)
    (again, _) = beat_notices(weekly, "2027-04-22")
    assert "Nor did it go out on" not in again.text


def test_what_is_long_past_is_not_told(weekly):
    asleep(weekly, 1)
    weekly.at(DUE + timedelta(days=14))
    assert [one for one in written(remind(weekly.ports)) if one[0] == "no_issue"] == []


def test_it_leaves_as_mail_among_ourselves_with_answers_to_a_colleague(weekly):
    asleep(weekly, 1)
    remind(weekly.ports)
    transport = ScriptedTransport()
    send_notices(replace(weekly.ports, transport=transport))
    mails = [message_from_bytes(one.message, policy=policy.SMTP) for one in transport.sent]
    told = {
        mail["To"].addresses[0].addr_spec: mail["Reply-To"].addresses[0].addr_spec
        for mail in mails
        if "did not go out on 18" in mail["Subject"]
    }
    assert told == {
        "eva@quaytide.example": "liv@quaytide.example",
        "liv@quaytide.example": "eva@quaytide.example",
    }


# ── sending ──────────────────────────────────────────────────────────────────────────────


def test_they_lie_in_the_outbox_as_mail_among_ourselves(weekly, tmp_path: Path):
    remind(weekly.ports)
    assert send_notices(weekly.ports).counts == (("accepted", 2),)
    assert send_notices(weekly.ports) == NoticesSent()
    files = sorted((tmp_path / "mail" / "notices").glob("*.eml"))
    mails = [message_from_bytes(path.read_bytes(), policy=policy.SMTP) for path in files]
    by_name = {mail["To"].addresses[0].display_name: mail for mail in mails}
    eva = by_name["Eva Brandt"]
    sender = eva["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == ("Quay & Tide", "desk@quaytide.example")
    assert eva["Reply-To"].addresses[0].addr_spec == "liv@quaytide.example"
    assert by_name["Tom Reyes"]["Reply-To"].addresses[0].addr_spec == "eva@quaytide.example"
    assert not [name for name in eva if name.lower().startswith("list-")]
    assert eva["Feedback-ID"] is None
    assert eva.get_body(("html",)) is not None
    assert "notices" in (tmp_path / "mail" / "index.html").read_text()
    assert "Eva Brandt" in (tmp_path / "mail" / "notices" / "index.html").read_text()


def test_a_provider_gets_them_in_parts_too(weekly):
    transport = ScriptedTransport()
    remind(weekly.ports)
    send_notices(replace(weekly.ports, transport=transport))
    first = transport.sent[0]
    assert (first.sender, first.recipient) == ("desk@quaytide.example", "eva@quaytide.example")
    assert first.content is not None
    assert first.content.sender_name == "Quay & Tide"
    assert set(first.content.headers) == {"Reply-To", "Message-ID"}
    assert first.content.html
    assert first.content.text
    assert first.content.subject


def test_what_was_put_off_comes_again_on_the_schedule(weekly):
    transport = ScriptedTransport(["deferred", "accepted"])
    ports = replace(weekly.ports, transport=transport)
    remind(ports)
    done = send_notices(ports)
    assert done.counts == (("accepted", 1), ("deferred", 1))
    assert done.next_due_at == weekly.clock.now() + timedelta(minutes=5)
    assert send_notices(ports).counts == ()
    weekly.at(done.next_due_at)
    assert send_notices(ports).counts == (("accepted", 1),)
    assert len(transport.sent) == 3


def test_a_relay_that_is_away_loses_nothing(weekly):
    transport = ScriptedTransport(["accepted", Down("The relay is away.", "Wait.")])
    ports = replace(weekly.ports, transport=transport)
    remind(ports)
    with pytest.raises(Down):
        send_notices(ports)
    assert [one.state for one in notices(weekly, "ferry-weekly")] == ["accepted", "planned"]
    assert send_notices(ports).counts == (("accepted", 1),)
    assert len(transport.sent) == 2


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize(
    ("fate", "state", "sent"),
    [("unknown", "unknown", 0), ("left", "accepted", 0), ("not_left", "accepted", 1)],
)
def test_what_a_dead_run_left_in_doubt(weekly, fate, state, sent):
    remind(weekly.ports)
    with pytest.raises(Killed):
        send_notices(replace(weekly.ports, transport=ScriptedTransport([Killed()])))
    states = {one.state for one in notices(weekly, "ferry-weekly")}
    assert states == {"attempting", "planned"}  # over SMTP one at a time is in doubt
    again = ScriptedTransport(fate=fate)
    ports = replace(weekly.ports, transport=again)
    assert send_notices(ports).counts == (("accepted", 1),)  # whoever holds the other may live
    weekly.at(weekly.clock.now() + timedelta(minutes=5))
    send_notices(ports)
    assert [one.state for one in notices(weekly, "ferry-weekly")] == [state, "accepted"]
    assert len(again.sent) == 1 + sent
    weekly.at(weekly.clock.now() + timedelta(days=2))
    assert send_notices(ports).counts == ()


def test_an_address_that_cannot_be_written_to_is_refused_and_the_others_go(weekly):
    staff = tuple(
        replace(one, address="no address") if one.key == "tom" else one
        for one in weekly.ports.catalog.firm.staff
    )
    firm = replace(weekly.ports.catalog.firm, staff=staff)
    ports = replace(weekly.ports, catalog=replace(weekly.ports.catalog, firm=firm))
    remind(ports)
    assert send_notices(ports).counts == (("accepted", 1), ("refused", 1))


def test_it_stops_between_two_when_it_is_asked_to(weekly):
    remind(weekly.ports)
    assert send_notices(replace(weekly.ports, stopping=lambda: True)).counts == ()
    assert send_notices(weekly.ports).counts == (("accepted", 2),)


# ── who hears late ───────────────────────────────────────────────────────────────────────


def test_an_automatic_issue_waits_until_its_approver_was_told_and_had_time(month):
    """The relay was away for the whole review: what nobody could stop does not go out."""
    away = ScriptedTransport([Down("The relay is away.", "Wait.")])
    compose_automatic(month.ports)
    remind(month.ports)
    with pytest.raises(Down):
        send_notices(replace(month.ports, transport=away))
    back_at = MONTH_DUE + timedelta(hours=3)
    month.at(back_at)
    assert deliver(month.ports).total("accepted") == 0
    assert send_notices(month.ports).counts == (("accepted", 1),)
    assert month.issue(MONTH).review_until == MONTH_DUE + timedelta(hours=24)  # the late policy's
    month.at(back_at + timedelta(minutes=1))
    assert deliver(month.ports).total("accepted") == 0
    month.at(MONTH_DUE + timedelta(hours=24))
    assert deliver(month.ports).total("accepted") >= 1
    assert month.issue(MONTH).state == "sent"


def test_who_hears_in_time_has_the_window_as_it_was_set(month):
    compose_automatic(month.ports)
    remind(month.ports)
    month.at(REVIEW_AT + timedelta(hours=6))
    send_notices(month.ports)
    assert month.issue(MONTH).review_until == MONTH_DUE


def test_one_that_was_stopped_before_its_approver_heard_stays_stopped(month):
    compose_automatic(month.ports)
    remind(month.ports)
    stop(month.acting("eva"), MONTH, "a typo")
    month.at(MONTH_DUE - timedelta(hours=1))
    send_notices(month.ports)
    assert month.issue(MONTH).state == "stopped"


def test_a_clock_that_is_set_back_keeps_no_notice_waiting(weekly):
    true = weekly.clock.now()
    remind(weekly.ports)
    weekly.at(true + timedelta(days=3))
    ports = replace(weekly.ports, transport=ScriptedTransport(["deferred", "deferred"]))
    send_notices(ports)
    weekly.at(true)
    with weekly.store.read() as tables:
        assert tables.notices.next_due(true) == true
    assert send_notices(ports).counts == (("accepted", 2),)
