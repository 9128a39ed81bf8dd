"""The rules of money that need no store."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server import ledger
from dreamgrid.server.store.base import Balance

amounts = st.integers(-(10**18), 10**18)


@given(amounts)
def test_an_amount_is_written_exactly(micros: int) -> None:
    text = ledger.decimal(micros)
    assert Decimal(text) == Decimal(micros).scaleb(-6)
    assert len(text.partition(".")[2]) == 6


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.000000"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (1_000_000, "1.000000"),
        (-1_500_000, "-1.500000"),
        (97_500_000, "97.500000"),
    ],
)
def test_amounts_as_people_read_them(micros: int, text: str) -> None:
    assert ledger.decimal(micros) == text


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_what_can_be_spent_is_what_is_owned_and_not_held(owned: int, held: int) -> None:
    update = ledger.balance_update({"spark": Balance(posted_micros=owned, held_micros=held)})
    spark = update.spark
    assert Decimal(spark.net) == Decimal(spark.settled) + Decimal(spark.credit) - Decimal(
        spark.debit
    )
    assert Decimal(spark.settled) == Decimal(owned).scaleb(-6)
    assert Decimal(spark.debit) == Decimal(held).scaleb(-6)
    assert update.sogni.net == "0.000000"


def test_money_moves_from_the_mint_to_accounts_and_from_accounts_to_the_house() -> None:
    assert ledger.grant("spark", "ADA", 5, 1)[2:4] == (ledger.MINT, "ADA")
    for make in (ledger.post, ledger.void):
        entry = make("spark", "ADA", 5, "P", "J", 1)
        assert (entry.payer, entry.payee, entry.amount_micros) == ("ADA", ledger.HOUSE, 5)
        assert (entry.project_id, entry.job_id) == ("P", "J")
    hold = ledger.hold("spark", "ADA", 5, "P", 1)
    assert (hold.kind, hold.project_id, hold.job_id) == (ledger.HOLD, "P", None)
