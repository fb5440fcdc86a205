"""Letters for tests: one issue of the ferry workspace in all its editions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

from pipeline.model.letters import (
    ForwardGroup,
    ForwardRow,
    Letter,
    LetterStory,
    SalesStory,
    SalesSums,
)

TEMPLATES_DIR = Path(__file__).parents[3] / "templates"
TEMPLATES = {path.name: path.read_text("utf-8") for path in TEMPLATES_DIR.glob("*.j2")}

STORIES = (
    LetterStory(
        1,
        "price",
        "Polar Link sells a departure that waits",
        "From 1 April a lorry that books the 06:40 from Hareid pays 12 euros more and is waited "
        "for, up to nine minutes. The company calls it “the held ramp”. In February it was tried "
        "on 38 mornings; the boat left late on eleven of them and arrived late on two.",
        "Nobody pays twelve euros for nine minutes. They pay for **not having to ring the "
        "customer** from the queue. That is worth more than any crossing, and until now it was "
        "given away to whoever knew the mate.\n\nWatch what it does to everybody else on board:\n\n"
        "- the commuter pays with her connection,\n- the crew pays with its break,\n"
        "- and the timetable becomes an opinion.",
        "Which of your departures does somebody already hold, {{first_name|as every mate knows}}, "
        "and who pays for it?",
        "Harbour News",
        "https://harbournews.example/2027/03/held-ramp?from=hareid&to=sulesund",
        date(2027, 3, 9),
        sales_note="Ask for the eleven late mornings before you speak of the price.",
    ),
    LetterStory(
        2,
        "launch",
        "Havn Marine prints the hour of failure on its ramps",
        "Every new linkspan from Havn Marine carries a counter and a figure: 41,000 cycles. At "
        "that number the maker takes it back, working or not.\n\n> We would rather be blamed for "
        "a date than for a morning.\n\nThe first stands at "
        "[Aal](https://coastwire.example/aal/ramp).",
        "A promise with an end is the only kind that a harbour master can plan with. Read the "
        "small print all the same: the counter counts landings, and a landing in a swell of 2 m "
        "wears a hinge like four in calm water. Whoever berths at exposed quays buys a shorter "
        "promise at the same price.",
        "If your ramps counted swell instead of landings, which quay would be due first?",
        "Coast Wire",
        "https://coastwire.example/havn-41000",
        date(2027, 3, 4),
    ),
    LetterStory(
        3,
        "",
        "In eleven of fourteen harbours the clock on the quay is wrong",
        "We walked fourteen quays in the first week of March with a radio clock. Three were right "
        "to the second. Six were between one and four minutes slow, which is the direction that "
        "makes a late boat look punctual.",
        "Nobody decided this. A clock that is slow gets no complaint, so nobody sets it; a clock "
        "that is fast is set within the day. Left alone, every measure drifts to where it hurts "
        "least. Your logs of punctuality were read from these clocks.",
        "",
        "Seen by us on fourteen quays, 1 to 5 March",
        "",
        None,
    ),
)
NOTED = (
    LetterStory(
        0, "", "Skagen Ruter moves its winter berth to the inner basin", "", "", "",
        "Werft und Hafen", "https://werft.example/skagen-winterliegeplatz", date(2027, 3, 5),
        language="de",
    ),
    LetterStory(
        0, "", "Two islands share one pilot from 1 May", "", "", "",
        "Coast Wire", "https://coastwire.example/one-pilot", date(2026, 12, 30),
    ),
)  # fmt: skip

PROSPECT = Letter(
    kind="prospect",
    language="en",
    title="Between Quays",
    number=9,
    on=date(2027, 3, 11),
    subject="What nine minutes cost, {{first_name|and whom}}",
    preheader="A boat that waits for money, a ramp that knows when it will fail, and clocks that "
    "nobody sets. Three stories.",
    theme="Time is bought at the quay",
    opening="Three stories, {{first_name|dear reader}}, and all of them are about waiting: a boat "
    "that does it for money (1), a ramp that will not (2), and a clock that hides it (3).\n\n"
    "None of it is new. That somebody writes it down is.",
    signed="Liv Haugen, who follows ferries for Quay & Tide",
    stories=STORIES,
    noted=NOTED,
    positioning="We time ferries, so that you need not guess.",
    firm_name="Quay & Tide",
    postal_address="Quay & Tide AS,\nStrandgaten 3, 5013 Bergen, Norway",
    brand_color="#A2441F",
    invitation_title="Half an hour, nothing to buy",
    invitation_text="If one of these lies on your desk, I am glad to think it through with you. "
    "Or answer with the number of a story, and I will send what lies behind it.",
    web_url="https://letters.quaytide.example/issues/b2jx4kq7m3ta5vw6cd8efgh9pn",
)
CUSTOMER = replace(
    PROSPECT,
    kind="customer",
    invitation_title="",
    invitation_text="",
    own_news=(
        ("A second desk in Oslo", "Since 1 March we answer from Oslo too, in four languages."),
        (
            "Who reads the logs now?",
            "Ingrid Moe, for nine years a mate on the northern route. She *asks back*.",
        ),
    ),
    service_title="We time your berths",
    service_text="Two days at your quay, one table: what each landing takes, and what it waits "
    "for.\n\nMost companies find one minute that nobody owns.",
    service_contact=("Tom Reyes", "tom@quaytide.example", "+47 55 00 00 02"),
)
PUBLIC = replace(PROSPECT, kind="public")


def ready_mail(address: str, name: str, story: LetterStory) -> str:
    body = f"Hello {name},\r\n\r\n\r\n\r\n{story.title}\r\n{story.url}"
    return f"mailto:{address}?subject={quote(story.title)}&body={quote(body, safe='')}"


SALES = replace(
    PROSPECT,
    kind="sales",
    subject="Between Quays (no. 9): three people have not had these stories",
    preheader="A ready mail for each of three people is inside.",
    sales=(
        SalesStory(
            STORIES[0],
            (
                ForwardGroup(
                    "Northline",
                    "its 06:30 leaves from the same quay",
                    False,
                    (
                        ForwardRow(
                            "Dr. Anne-Lise Berg", "operations", "on no list; met on 3 March",
                            ready_mail("al.berg@northline.example", "Dr. Berg", STORIES[0]),
                        ),
                        ForwardRow("Ole Sand", "", "left on 2 February", "", "Call only"),
                    ),
                ),
                ForwardGroup(
                    "Blue Strait <Lines>",
                    "this story is about them",
                    True,
                    (
                        ForwardRow(
                            "Mia Falk", "timetables", "left out of her copy",
                            ready_mail("mia.falk@bluestrait.example", "Mia", STORIES[0]),
                        ),
                    ),
                ),
            ),
        ),
        SalesStory(STORIES[1], ()),
        SalesStory(STORIES[2], ()),
    ),
    sales_sums=SalesSums(9, 6, (("on no list", 1), ("has left", 1), ("with too little left", 1))),
    owner_first_name="Tom",
)  # fmt: skip

EDITIONS = {"prospect": PROSPECT, "customer": CUSTOMER, "sales": SALES, "public": PUBLIC}

VALUES = {
    "first_name": "Ingrid",
    "greeting": "Good morning, Ingrid.",
    "sender_name": "Liv Haugen",
    "sender_first_name": "Liv",
    "sender_address": "liv@quaytide.example",
    "sender_phone": "+47 55 00 00 01",
    "signature": "Liv Haugen\nQuay & Tide",
    "basis": "because you asked for it at the harbour days in Bergen on 3\u00a0March\u00a02026",
    "leave_url": "https://letters.quaytide.example/leave/q7Zt4mVd0Yw2xK9e",
    "web_url": "https://letters.quaytide.example/issues/b2jx4kq7m3ta5vw6cd8efgh9pn",
}
NOBODY = {**VALUES, "first_name": "", "greeting": "Good morning.", "sender_phone": "",
          "signature": "", "web_url": ""}  # fmt: skip
