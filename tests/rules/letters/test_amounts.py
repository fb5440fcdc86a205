"""Numbers as amounts: in digits, in letters, in English and in German."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.letters.amounts import amounts


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("forty million", [40_000_000]), ("Forty-two million euros", [42_000_000]),
        ("40 million", [40_000_000]), ("40,000,000", [40_000_000]), ("40.000.000", [40_000_000]),
        ("40 Mio. Euro", [40_000_000]), ("vierzig Millionen", [40_000_000]),
        ("half a million", [500_000]), ("eine halbe Million", [500_000]),
        ("1.5 million", [1_500_000]), ("1,5 Mio.", [1_500_000]),
        ("anderthalb Millionen", [1_500_000]), ("two and a half million", [2_500_000]),
        ("zweieinhalb Milliarden", [2_500_000_000]), ("a million", [1_000_000]),
        ("a hundred million", [100_000_000]), ("hundert Millionen", [100_000_000]),
        ("two thousand four hundred", [2_400]), ("two hundred and fifty", [250]),
        ("zweitausendvierhundert", [2_400]), ("dreihundertfünfzigtausend", [350_000]),
        ("tausendundeins", []), ("einundvierzig Fähren", [41]), ("twelve hundred", [1_200]),
        ("dreißig, Dreissig, fuenfzig", [30, 30, 50]), ("4 200 and 30", [4_200, 30]),
        ("1 million two hundred thousand", [1_200_000]), ("40k and 40bn", [40_000, 4 * 10**10]),
        ("€40m, 40 m", [40, 40_000_000, 40]), ("$2b", [2, 2 * 10**9]), ("40m²", [40]),
        ("30 Tsd. Euro", [30_000]), ("forty million and 30 jobs", [40_000_000, 30]),
        ("three million and thirty jobs", [3_000_000, 30]), ("40 million 2027", [40_000_000, 2027]),
        ("two thousand and fifty", [2_050]), ("2 million 400 thousand", [2_400_000]),
        ("forty. Million", [40]), ("forty, fifty", [40, 50]), ("1.5 and 3", [Fraction(3, 2), 3]),
    ],
)  # fmt: skip
def test_the_same_amount_in_other_letters(text: str, values: list[int]) -> None:
    assert [amount.value for amount in amounts(text)] == values


@pytest.mark.parametrize(
    "text",
    [
        "one or two of them, a dozen at most", "twelve", "zwölf Stück, eine davon",
        "a hundred times", "a thousand small delays", "hundert Gründe, tausend Dank",
        "thousands of lorries, millions of parcels", "a few hundred million", "Tausende, Millionen",
        "3.5.2027", "half of it", "an hour and a half", "someone, often, eigens, reich", "0", "",
        "9" * 5000,
    ],
)  # fmt: skip
def test_a_turn_of_phrase_is_no_amount(text: str) -> None:
    assert amounts(text) == ()


def test_an_amount_is_quoted_as_it_is_written() -> None:
    (amount,) = amounts("They spend about\nForty-two\nmillion, they say.")
    assert amount.written == "Forty-two million"


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert all(amount.value > 0 for amount in amounts(text))


@given(st.integers(1, 10**15))
def test_a_number_in_digits_is_itself(number: int) -> None:
    assert [amount.value for amount in amounts(f"{number:,}")] == [number]
    assert [amount.value for amount in amounts(f"{number:,}".replace(",", "."))] == [number]
