"""A mail that is copied to us becomes a touch, once; everything else has its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from mailbox import Maildir
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, Down
from pipeline.mailboxes.local import LocalMailbox
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports
from pipeline.stages.forward import forward
from pipeline.stages.mailbox import MOST_AT_ONCE, STEP, MailboxRead, read_mailbox
from pipeline.stages.people import show_person, undo
from pipeline.stages.report import coverage
from pipeline.stages.touch import touch
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.compose_scene import Scene, build_scene, log_of
from tests.mails import mail
from tests.people_scene import raw as rows_of

ADA = "ada@northline.example"
BO = "bo@northline.example"
STORY = "https://coastwire.example/1"


@dataclass
class Post:
    """A scene whose mailbox is a real maildir."""

    scene: Scene
    folder: Path
    numbers: int = field(default=0)

    def put(self, *mails: bytes) -> None:
        box = Maildir(self.folder, create=True)
        for one in mails:
            box.add(one)

    def come(self, text: str = "as promised", **fields: object) -> None:
        self.numbers += 1
        self.put(mail(text, **{"number": self.numbers, **fields}))  # type: ignore[arg-type]

    @property
    def ports(self) -> Ports:
        return replace(self.scene.acting("somebody"), mailbox=LocalMailbox(self.folder))

    def read(self) -> MailboxRead:
        found = read_mailbox(self.ports)
        assert found.mails == found.known + found.logged + sum(found.left_out.values())
        return found

    def by_hand(self) -> int:
        (report,) = coverage(self.scene.ports, "ferries")
        return sum(account.by_hand for account in report.accounts)

    def told(self, who: str = ADA) -> list[str]:
        return [str(fact["through"]) for fact in show_person(self.scene.ports, who).told]

    def story(self) -> str:
        with self.scene.store.read() as tables:
            return tables.stories.by_ids([self.scene.story_ids[0]])[0].public_id


@pytest.fixture
def post(store: SqlStore, tmp_path: Path) -> Post:
    scene = build_scene(store, tmp_path)
    scene.people()
    scene.ready()
    folder = tmp_path / "copies"
    Maildir(folder, create=True)
    return Post(scene, folder)


def test_a_mail_to_a_contact_is_a_note_by_whoever_wrote_it(post: Post) -> None:
    post.come(subject="About  May", at=NOW - timedelta(days=2))
    (copied,) = post.read().touches
    done = copied.touch
    assert (done.kind, done.staff_key, done.note) == ("note", "tom", "About May")
    assert (done.at, done.account_key) == (NOW - timedelta(days=2), "northline")
    assert post.by_hand() == 1
    assert post.told() == []


def test_a_link_to_a_story_makes_it_a_forward(post: Post) -> None:
    post.come(f"Have a look: {STORY}?utm_source=tom.", sender="Liv <LIV@quaytide.example>")
    (copied,) = post.read().touches
    assert (copied.touch.kind, copied.touch.staff_key) == ("forward", "liv")
    assert copied.touch.story_id == post.scene.story_ids[0]
    assert (copied.story, copied.title) == (post.story(), "Quay 1 opens an hour earlier")
    assert post.told() == ["forward"]


def test_a_link_in_markup_alone_counts(post: Post) -> None:
    post.come("see below", html=f'<p><a href="{STORY}">here</a></p>')
    assert post.read().touches[0].touch.kind == "forward"


def test_the_kit_s_subject_makes_it_a_forward(post: Post) -> None:
    post.come("Look!", subject="Quay 2 opens an hour earlier")
    post.come("Look!", subject="Fwd: Quay 3 opens an hour earlier", to=BO)
    post.come("Look!", subject="Re: Quay 2 opens an hour earlier")
    kinds = {copied.contact.address: copied.touch.kind for copied in post.read().touches}
    assert kinds == {ADA: "note", BO: "forward"}
    assert (post.told(), post.told(BO)) == (["forward"], ["forward"])


def test_a_lesson_is_listed_by_its_own_title(post: Post) -> None:
    story = post.scene.story(
        "Skagen Ruter sells", kind="note", learnt_from="skagen-ruter", is_public=False, url=""
    )
    post.scene.write(story, general_wording="# Small is fine\n\nWe like it.", cleared_by="liv")
    post.come("Look!", subject="Small is fine")
    (copied,) = post.read().touches
    assert (copied.touch.story_id, copied.title) == (story, "Small is fine")


def test_a_link_to_a_story_outside_our_pools_is_a_note(post: Post) -> None:
    with post.scene.store.write() as tables:
        tables.stories.add_story("news", "Rain", "Rain.", NOW, url="https://coastwire.example/r")
    post.come("https://coastwire.example/r and https://unknown.example/")
    assert post.read().touches[0].touch.kind == "note"


def test_everybody_who_got_it_is_touched(post: Post) -> None:
    to = f"{ADA}, Stranger <who@else.example>, {BO}, dag@blue-strait.example, {ADA}"
    post.come(to=to, headers={"Cc": "tom@quaytide.example, copies@quaytide.example"})
    read = post.read()
    assert (read.logged, len(read.touches), post.by_hand()) == (1, 3, 3)


def test_each_mail_is_logged_once(post: Post) -> None:
    post.come()
    assert post.read().logged == 1
    again = post.read()
    assert (again.mails, again.new, again.logged) == (1, 0, 0)
    post.come(number=1)  # the same mail by another way
    assert post.read().new == 0
    assert post.by_hand() == 1


def test_a_mail_that_was_taken_back_is_not_read_again(post: Post) -> None:
    post.come(f"see {STORY}")
    post.read()
    assert undo(post.scene.acting("tom")).operation.verb == "touch"
    assert (post.by_hand(), post.told()) == (0, [])
    assert post.read().new == 0
    assert post.by_hand() == 0


def test_a_forward_that_the_kit_logged_is_one_touch(post: Post) -> None:
    kit = forward(post.scene.acting("tom"), post.story(), ADA)
    sent = NOW + timedelta(hours=20)
    post.scene.at(NOW + timedelta(hours=23))
    post.come(kit.text, subject=kit.subject, at=sent)
    assert post.read().left_out == {"logged_already": 1}
    assert post.by_hand() == 1
    post.come(kit.text, subject=kit.subject, at=sent, sender="Liv <liv@quaytide.example>")
    post.come(kit.text, subject=kit.subject, at=sent, to=BO)
    assert post.read().logged == 2, "by another of us, and to somebody else"


def test_the_same_story_days_later_is_another_touch(post: Post) -> None:
    forward(post.scene.acting("tom"), post.story(), ADA)
    post.scene.at(NOW + timedelta(days=3))
    post.come(f"Did you see {STORY}?", at=NOW + timedelta(days=2))
    assert post.read().logged == 1
    assert post.by_hand() == 2


def test_an_answer_that_carries_the_story_along_is_a_note(post: Post) -> None:
    touch(post.scene.acting("tom"), ADA, "forward", story_ref=post.story())
    post.scene.at(NOW + timedelta(days=3))
    post.come(f"Yes, Friday.\n\nOn Monday I wrote: {STORY}", at=NOW + timedelta(days=3),
              headers={"In-Reply-To": "<x@northline.example>"})  # fmt: skip
    (copied,) = post.read().touches
    assert (copied.touch.kind, copied.touch.story_id) == ("note", None)
    assert post.told() == ["forward"]


def test_everything_else_has_its_one_reason(post: Post) -> None:
    old = NOW - timedelta(days=40)
    received = f"from mx by us; {old:%a, %d %b %Y %H:%M:%S} +0000"
    post.come(sender="Eve <eve@elsewhere.example>")
    post.come(to="who@else.example")
    post.come(headers={"Auto-Submitted": "auto-replied"})
    post.come(headers={"Return-Path": "<>"})
    post.come(headers={"List-Id": "<fair.example>"})
    post.come(headers={"Feedback-ID": "1:ferry-weekly:letter:quaytide"})
    post.come(headers={"Received": received}, at=old)
    (post.folder / "new" / "empty").touch()
    read = post.read()
    assert read.left_out == {
        "not_from_us": 1, "nobody_known": 1, "automatic": 1, "bounce": 1, "mailing_list": 1,
        "our_own_letter": 1, "too_old": 1, "unreadable": 1,
    }  # fmt: skip
    assert (post.by_hand(), read.touches) == (0, ())
    assert post.read().new == 0


def test_who_was_erased_is_nobody_we_know(post: Post) -> None:
    with rows_of(post.scene.store) as connection:
        contact = show_person(post.scene.ports, ADA).contact
        there = schema.contacts.c.id == contact.id
        connection.execute(sa.update(schema.contacts).where(there).values(address=""))
    post.come()
    assert post.read().left_out == {"nobody_known": 1}


def test_a_touch_is_no_letter_and_ends_no_wish(post: Post) -> None:
    with post.scene.store.write() as tables:
        contact = tables.people.find(ADA)
        tables.people.suppress(contact.id, EVERYWHERE, "left", NOW)
    post.come()
    assert post.read().logged == 1
    assert show_person(post.scene.ports, ADA).suppressions


def test_no_word_and_no_address_of_a_mail_is_kept_with_it(post: Post) -> None:
    post.come("a secret", subject="Secret")
    post.come("a secret", subject="Secret", sender="eve@elsewhere.example")
    post.read()
    with rows_of(post.scene.store) as connection:
        rows = connection.execute(sa.select(schema.mails)).mappings().all()
    assert {row["outcome"] for row in rows} == {"logged", "not_from_us"}
    kept = " ".join(str(value) for row in rows for value in row.values()).lower()
    assert not [word for word in ("secret", "elsewhere", "ada", "tom@") if word in kept]


def test_the_log_says_whose_step_it_is(post: Post) -> None:
    post.come()
    post.read()
    contact = show_person(post.scene.ports, ADA).contact
    assert log_of(post.scene, f"contact:{contact.public_id}") == ["touch"]
    with post.scene.store.read() as tables:
        (step,) = tables.log.of(f"contact:{contact.public_id}")
    assert (step.actor, step.at) == ("tom", NOW)


def test_hostile_mails_do_not_stop_the_good_one(post: Post) -> None:
    post.put(b"\0" * 1000, b"From: " + b"<" * 100_000, b"Subject: =?utf-8?b?////?=\n\n" * 999,
             b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\n" * 9999)  # fmt: skip
    post.come()
    read = post.read()
    assert (read.mails, read.logged) == (5, 1)


def test_two_who_read_at_once_log_once(post: Post) -> None:
    for _ in range(6):
        post.come()
    reads: list[MailboxRead] = []
    workers = [Thread(target=lambda: reads.append(read_mailbox(post.ports))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(read.logged for read in reads) == 6
    assert post.by_hand() == 6


def test_who_is_asked_to_stop_goes_on_next_time(post: Post) -> None:
    for _ in range(STEP + 3):
        post.come()
    asked = iter([False, True])
    read = read_mailbox(replace(post.ports, stopping=lambda: next(asked)))
    assert (read.mails, read.logged) == (STEP, STEP)
    assert post.read().logged == 3


class Flood:
    """A mailbox with more mails than one look takes."""

    def mails(self) -> Iterator[tuple[str, bytes]]:
        for number in range(MOST_AT_ONCE + 3):
            yield str(number), b"From: eve@elsewhere.example\nMessage-ID: <%d>\n\nBuy" % number


def test_a_flood_is_taken_in_turns(post: Post) -> None:
    ports = replace(post.ports, mailbox=Flood())
    first, second = read_mailbox(ports), read_mailbox(ports)
    assert (first.new, first.more) == (MOST_AT_ONCE, True)
    assert (second.known, second.new, second.more) == (MOST_AT_ONCE, 3, False)


def test_without_a_mailbox_a_hint_says_how(post: Post) -> None:
    with pytest.raises(BadInput, match="no mailbox") as error:
        read_mailbox(replace(post.ports, mailbox=None))
    assert "ASTERISM_BCC_MAILBOX" in error.value.hint


class Broken:
    """A mailbox that goes away after one mail."""

    def mails(self) -> Iterator[tuple[str, bytes]]:
        yield "one", mail()
        raise Down("The mailbox went away.")


def test_a_mailbox_that_goes_away_is_told_and_nothing_is_half_done(post: Post) -> None:
    with pytest.raises(Down):
        read_mailbox(replace(post.ports, mailbox=Broken()))
    assert post.by_hand() == 0
