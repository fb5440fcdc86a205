"""The forward kit: what the wall lets this reader read, what to know before, and one touch."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.catalog import Staff
from pipeline.model.letters import Beat
from pipeline.ports import Ports
from pipeline.rules.people.by_hand import SLIP
from pipeline.stages.compose import approve
from pipeline.stages.forward import Kit, forward
from pipeline.stages.people import hold, pause, show_person, suppress, undo
from pipeline.stages.report import coverage
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, NOW
from tests.compose_scene import REF, Scene, build_scene, log_of

ADA = "ada@northline.example"
CEM = "cem@skagen-ruter.example"
DAG = "dag@blue-strait.example"
TAKE = "We would not have waited for berth"


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    scene = build_scene(store, tmp_path, actor="tom")
    scene.people()
    return scene


@pytest.fixture
def ready(scene: Scene) -> Scene:
    """An issue with three public stories and a take on each."""
    scene.ready()
    return scene


def ref(scene: Scene, number: int = 0) -> str:
    with scene.store.read() as tables:
        (story,) = tables.stories.by_ids([scene.story_ids[number]])
    return story.public_id


def codes(kit: Kit) -> set[str]:
    return {caution.code for caution in kit.cautions}


def by_hand(scene: Scene) -> int:
    (report,) = coverage(scene.ports, "ferries")
    return sum(account.by_hand for account in report.accounts)


def bodies(kit: Kit) -> dict[str, str]:
    """Every form of the mail as a mail program reads it."""
    query = parse_qs(urlsplit(kit.mailto).query, strict_parsing=True)
    draft = BytesParser(policy=policy.default).parsebytes(kit.eml)
    plain, rich = draft.iter_parts()
    return {
        "text": kit.text,
        "html": kit.html,
        "mailto": query["body"][0],
        "eml text": plain.get_content(),
        "eml html": rich.get_content(),
    }


# ── the mail ─────────────────────────────────────────────────────────────────────────────


def test_a_kit_is_one_mail_in_every_form(ready: Scene) -> None:
    kit = forward(ready.ports, ref(ready), ADA, words="Thought of your quay.")
    assert kit.subject == "Quay 1 opens an hour earlier"
    assert (kit.wording, kit.issue, kit.instead) == ("plain", "ferry-weekly/1", "")
    for form, body in bodies(kit).items():
        for said in (
            "Hello Ada,",
            "Thought of your quay.",
            TAKE,
            "Who winds your clock?",
            "https://coastwire.example/1",
            "Coast Wire",
            "Best wishes",
            "Tom Reyes",
        ):
            assert said in body, (form, said)
    draft = BytesParser(policy=policy.default).parsebytes(kit.eml)
    assert (draft["X-Unsent"], draft["Bcc"]) == ("1", None)
    assert draft["From"].addresses[0].addr_spec == "tom@quaytide.example"
    assert draft["To"].addresses[0].addr_spec == ADA
    assert draft["Subject"] == kit.subject
    assert draft.get_content_type() == "multipart/alternative"
    assert {"date", "message-id"}.isdisjoint(map(str.lower, draft.keys())), "whoever sends it"


def test_the_mailbox_stands_in_the_draft_alone(ready: Scene) -> None:
    ports = replace(ready.ports, bcc_address="copies@quaytide.example")
    kit = forward(ports, ref(ready), ADA, look=True)
    draft = BytesParser(policy=policy.default).parsebytes(kit.eml)
    assert draft["Bcc"] == "copies@quaytide.example"
    assert "copies@" not in kit.text + kit.html + kit.mailto


def test_nothing_in_it_tells_how_we_see_the_reader(ready: Scene) -> None:
    with ready.store.write() as tables:
        snippet = tables.snippets.of_issue(ready.issue().id)[0]
        take = "Read [the rest](https://coastwire.example/x?utm_source=us&id=3), {{first_name|you}}"
        fact = "Said [on a page]({{web_url}}), or [leave]({{leave_url}})."
        tables.snippets.edit(snippet.id, snippet.revision, {"take": take, "fact": fact})
    kit = forward(ready.ports, ref(ready), CEM)
    everything = "\n".join([kit.subject, kit.mailto, kit.eml.decode(), *bodies(kit).values()])
    for betraying in (
        "utm_",
        "/leave/",
        "List-",
        "Feedback-ID",
        "<img",
        "customer",
        "prospect",
        "Northline",
        "Blue Strait",
        "ferry-weekly",
        "quaytide.example/",
    ):
        assert betraying.casefold() not in everything.casefold(), betraying
    assert 'href="https://coastwire.example/x?id=3"' in kit.html
    assert 'href=""' not in kit.html
    remote = re.findall(r"(?:src|background)\s*=|url\(|<link|<style|<script", kit.html)
    assert not remote


def test_without_words_a_mark_says_where_they_go(ready: Scene) -> None:
    for form, body in bodies(forward(ready.ports, ref(ready), ADA)).items():
        assert "[A line of your own]" in body, form


def test_words_are_text_whatever_they_hold(ready: Scene) -> None:
    words = "1 < 2\r\n<script>x</script> {{leave_url}}\x00"
    kit = forward(ready.ports, ref(ready), ADA, words=words)
    assert "1 < 2\n<script>x</script> {{leave_url}}\n" in kit.text
    assert "1 &lt; 2<br>&lt;script&gt;x&lt;/script&gt;" in kit.html
    with pytest.raises(BadInput, match="longer than 2000"):
        forward(ready.ports, ref(ready), ADA, words="x" * 2001)


def test_long_words_stay_whole_where_there_is_room(ready: Scene) -> None:
    kit = forward(ready.ports, ref(ready), ADA, words="Long ago. " * 190)
    assert len(kit.mailto) <= 1200
    assert "too_long" in codes(kit)
    assert kit.text.count("Long ago.") == 190


def test_a_german_letter_s_take_is_passed_on_in_german(ready: Scene) -> None:
    (constellation,) = CATALOG.constellations
    german = replace(constellation.newsletters[0], language="de")
    catalog = replace(CATALOG, constellations=(replace(constellation, newsletters=(german,)),))
    kit = forward(replace(ready.ports, catalog=catalog), ref(ready), ADA)
    assert kit.language == "de"
    for said in ("Guten Tag, Ada,", "[Eine eigene Zeile]", "Unsere Sicht:", "Beste Grüße"):
        assert said in kit.text
    assert b"Content-Language: de" in kit.eml


def test_a_story_nobody_wrote_on_goes_with_its_fact(scene: Scene) -> None:
    scene.story("A pier burns", text="The pier at Vik burnt down on Friday. Nobody was hurt.")
    kit = forward(scene.ports, ref(scene), ADA)
    assert "no_take" in codes(kit)
    assert kit.issue == ""
    assert "“The pier at Vik burnt down on Friday.”" in kit.text
    assert "https://coastwire.example/1" in kit.text
    assert "Our view" not in kit.text


def test_the_latest_take_is_passed_on(scene: Scene) -> None:
    scene.ready()
    approve(scene.acting("liv"), REF)
    scene.at(NOW + timedelta(days=7))
    with scene.store.write() as tables:
        on = date(2027, 3, 18)
        beat = Beat(on, NOW + timedelta(days=10), on)
        later = tables.letters.open_issue(
            REF, beat, cut_off_at=NOW, deadline_at=NOW, subject="", now=NOW
        )
        kept = tables.snippets.keep(later.id, scene.story_ids[0], "main")
        other = tables.snippets.keep(later.id, scene.story_ids[1], "main")
        tables.snippets.edit(kept.id, kept.revision, {"take": "Newer words."})
        assert not other.take
    kit = forward(scene.ports, ref(scene), ADA)
    assert "Newer words." in kit.text
    assert "not_approved" in codes(kit)
    kit = forward(scene.ports, ref(scene, 1), ADA)
    assert TAKE in kit.text, "an issue that has no take yet does not hide one that went out"
    assert "not_approved" not in codes(kit)


# ── the wall ─────────────────────────────────────────────────────────────────────────────


def refused(scene: Scene, contact: str, actor: str = "tom") -> str:
    with pytest.raises(Conflict) as error:
        forward(scene.acting(actor), ref(scene), contact)
    assert by_hand(scene) == 0
    with scene.store.read() as tables:
        contact_id = tables.people.find(contact).public_id
    assert log_of(scene, f"contact:{contact_id}") == []
    return str(error.value)


def test_who_the_story_is_about_reads_their_own_wording_or_nothing(scene: Scene) -> None:
    story = scene.story("Northline loses a berth", about=["northline"])
    scene.open()
    scene.write(story, take="They will fail.")
    said = refused(scene, ADA)
    assert "keeps this story from Northline: it is about them, without a wording of" in said
    assert "They will fail." in forward(scene.ports, ref(scene), DAG).text
    scene.write(story, own_wording="# You and the berth\n\nYour berth.\n\nAsk for it back.")
    kit = forward(scene.ports, ref(scene), ADA)
    assert (kit.wording, kit.subject) == ("own", "You and the berth")
    assert "Ask for it back." in kit.text
    assert "They will fail" not in "".join(bodies(kit).values())


def test_who_only_our_take_names_gets_nothing(scene: Scene) -> None:
    story = scene.story("A berth is lost")
    scene.open()
    scene.write(story, take="Northline will fail.")
    assert "about them" in refused(scene, ADA)


def test_a_bare_story_about_them_is_not_sent_to_them(scene: Scene) -> None:
    scene.story("Northline loses a berth", about=["northline"])
    assert "about them" in refused(scene, ADA)


def confidence(scene: Scene, **changes: str) -> None:
    story = scene.story(
        "Skagen Ruter sells two ferries", kind="note", text="They told us in May: 44 million.",
        learnt_from="skagen-ruter", is_public=False, url="", source_name="",
    )  # fmt: skip
    scene.open()
    scene.write(story, fact="44 million.", take="They will shrink.", **changes)


def test_a_confidence_reaches_nobody_else(scene: Scene) -> None:
    confidence(scene, general_wording="# On size\n\nSmall may be fine.\n\nWe like it.")
    for contact in (ADA, DAG):
        said = refused(scene, contact)
        assert "in confidence" in said
        for secret in ("Skagen", "44", "ferries", "shrink"):
            assert secret not in said
    assert "without a wording of their own" in refused(scene, CEM, actor="liv")


def test_a_cleared_lesson_travels_and_brings_nothing_along(scene: Scene) -> None:
    confidence(scene, general_wording="# On size\n\nSmall may be fine.\n\nWe like it.",
               cleared_by="liv")  # fmt: skip
    kit = forward(scene.ports, ref(scene), ADA)
    assert (kit.wording, kit.subject) == ("general", "On size")
    everything = "\n".join([kit.subject, kit.mailto, *bodies(kit).values()])
    for secret in ("Skagen", "44", "shrink", "sells", "May:"):
        assert secret not in everything


def test_a_lesson_that_betrays_its_source_goes_to_nobody(scene: Scene) -> None:
    confidence(scene, general_wording="Somebody sold for 44 million.", cleared_by="liv")
    said = refused(scene, ADA)
    assert "betrays" in said
    assert "44" not in said


def test_what_they_told_us_goes_back_only_by_who_may_know(scene: Scene) -> None:
    confidence(scene, own_wording="As you told us.\n\nWe would wait.")
    kim = Staff("kim", "Kim Lund", "kim@quaytide.example")
    firm = replace(CATALOG.firm, staff=(*CATALOG.firm.staff, kim))
    outsider = replace(scene.acting("kim"), catalog=replace(CATALOG, firm=firm))
    with pytest.raises(Conflict, match="in confidence"):
        forward(outsider, ref(scene), CEM)
    assert forward(scene.acting("liv"), ref(scene), CEM).wording == "own"


def test_a_note_that_nobody_vouched_for_goes_to_nobody(scene: Scene) -> None:
    scene.story("Seen at the fair", kind="note", is_public=False)
    assert "neither public nor learnt from anybody" in refused(scene, ADA)


def test_news_of_another_pool_is_allowed_and_warned_of(scene: Scene) -> None:
    with scene.store.write() as tables:
        story_id = tables.stories.add_story("news", "Rain in Rome", "It rained in Rome.", NOW,
                                            url="https://coastwire.example/rain")  # fmt: skip
    scene.story_ids.append(story_id)
    kit = forward(scene.ports, ref(scene), ADA)
    assert {"other_constellation", "no_take"} <= codes(kit)
    assert kit.state == "logged"


# ── what to know before ──────────────────────────────────────────────────────────────────


def test_who_had_it_is_told_with_through_what_and_by_whom(ready: Scene) -> None:
    forward(ready.acting("eva"), ref(ready), ADA)
    ready.at(NOW + timedelta(days=1))
    (told,) = (c for c in forward(ready.ports, ref(ready), ADA, look=True).cautions
               if c.code == "told_before")  # fmt: skip
    assert told.what == "Ada Strand has it already: forwarded by Eva Brandt on 2027-03-08."
    approve(ready.acting("liv"), REF)
    (told,) = (c for c in forward(ready.ports, ref(ready), DAG, look=True).cautions
               if c.code == "told_before")  # fmt: skip
    assert "in ferry-weekly/1 on 2027-03-" in told.what


def test_a_story_that_was_merged_counts_as_told(ready: Scene) -> None:
    forward(ready.ports, ref(ready, 1), ADA)
    first, second, _ = ready.story_ids
    with ready.store.write() as tables:
        tables.stories._connection.exec_driver_sql(
            f"UPDATE stories SET merged_into = {first} WHERE id = {second}"
        )
    kit = forward(ready.ports, ref(ready, 1), ADA, look=True)
    assert kit.story == ref(ready, 0)
    assert "told_before" in codes(kit)


def no_mail(scene: Scene, contact: str = ADA) -> Kit:
    kit = forward(scene.ports, ref(scene), contact)
    assert (kit.mailto, kit.eml, kit.state) == ("", b"", "not_logged")
    assert by_hand(scene) == 0
    assert TAKE in kit.text, "it can still be said"
    return kit


def test_who_asked_not_to_be_mailed_is_called(ready: Scene) -> None:
    suppress(ready.ports, ADA, detail="by phone")
    kit = no_mail(ready)
    assert kit.instead == "call_only"
    assert "no_mail" in codes(kit)
    assert any("asked us not to write" in caution.what for caution in kit.cautions)


def test_who_left_the_letter_it_stands_in_is_called(ready: Scene) -> None:
    suppress(ready.ports, ADA, scope="ferry-weekly")
    assert no_mail(ready).instead == "call_only"


def test_a_pause_holds_for_a_forward_too(ready: Scene) -> None:
    pause(ready.ports, ADA, date(2027, 4, 1))
    kit = no_mail(ready)
    assert (kit.instead, codes(kit) & {"paused"}) == ("not_before_then", {"paused"})
    ready.at(NOW + timedelta(days=40))
    assert forward(ready.ports, ref(ready), ADA).state == "logged"


def test_a_hold_is_a_warning(ready: Scene) -> None:
    hold(ready.ports, ADA, "we meet on Friday")
    kit = forward(ready.ports, ref(ready), ADA)
    assert "held" in codes(kit)
    assert kit.state == "logged"


@pytest.mark.parametrize(
    ("change", "code"),
    [("retired_at = '2027-01-01 00:00:00'", "retired"), ("invalid = 'no such domain'",
     "invalid_address"), ("address = ''", "erased")],
)  # fmt: skip
def test_who_cannot_be_reached_gets_no_mail(ready: Scene, change: str, code: str) -> None:
    with ready.store.write() as tables:
        contact_id = tables.people.find(ADA).public_id
        tables.people._connection.exec_driver_sql(
            f"UPDATE contacts SET {change} WHERE public_id = '{contact_id}'"
        )
    kit = no_mail(ready, contact_id)
    assert kit.instead == "call_only"
    assert code in codes(kit)


def test_words_that_name_a_rival_are_asked_about(ready: Scene) -> None:
    words = "Blue Strait saw it first. Skagen Ruter works with us."
    kit = forward(ready.ports, ref(ready), ADA, words=words)
    assert {"names_account", "names_customer"} <= codes(kit)
    assert kit.state == "logged", "they are a person's own words"


# ── the touch ────────────────────────────────────────────────────────────────────────────


def test_a_forward_is_logged_once_and_told(ready: Scene) -> None:
    assert forward(ready.ports, ref(ready), ADA, words="Call me.").state == "logged"
    ready.clock.at += SLIP - timedelta(seconds=1)
    again = forward(ready.ports, ref(ready), ADA, words="Call me.")
    assert again.state == "logged_already"
    assert by_hand(ready) == 1
    (told,) = show_person(ready.ports, ADA).told
    assert (told["story"], told["through"]) == (ref(ready), "forward")
    assert ready.told_of(ready.story_ids[0]) == {show_person(ready.ports, ADA).contact.id}


def test_a_look_logs_nothing(ready: Scene) -> None:
    kit = forward(ready.ports, ref(ready), ADA, look=True)
    assert (kit.state, by_hand(ready)) == ("not_logged", 0)
    assert kit.mailto
    assert not show_person(ready.ports, ADA).told


def test_a_forward_can_be_taken_back(ready: Scene) -> None:
    forward(ready.ports, ref(ready), ADA, words="Call me.")
    undone = undo(ready.ports)
    assert undone.operation.verb == "touch"
    assert by_hand(ready) == 0
    assert not show_person(ready.ports, ADA).told
    assert forward(ready.ports, ref(ready), ADA, words="Call me.").state == "logged"


def test_who_acts_must_be_one_of_us(ready: Scene) -> None:
    with pytest.raises(BadInput, match="none of our people") as error:
        forward(ready.acting("nobody"), ref(ready), ADA)
    assert "liv, tom, eva" in error.value.hint
    for actor in ("TOM", "Tom Reyes", "tom@quaytide.example"):
        assert forward(ready.acting(actor), ref(ready), ADA, look=True).sender.key == "tom"


def test_what_is_not_there_is_not_found(ready: Scene) -> None:
    with pytest.raises(NotFound):
        forward(ready.ports, "zzzzzzzz", ADA)
    with pytest.raises(NotFound):
        forward(ready.ports, ref(ready), "nobody@northline.example")


def test_without_its_file_a_company_has_no_wall(ready: Scene) -> None:
    (constellation,) = CATALOG.constellations
    fewer = replace(constellation, accounts=constellation.accounts[1:])
    ports: Ports = replace(ready.ports, catalog=replace(CATALOG, constellations=(fewer,)))
    with pytest.raises(Conflict, match="stands in no file"):
        forward(ports, ref(ready), ADA)
