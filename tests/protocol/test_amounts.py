from decimal import Decimal

import pytest

from dreamgrid.client.current_account import Balance
from dreamgrid.client.project import Charge
from dreamgrid.protocol.amounts import plain, price


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0.100000", "0.1"),
        ("1000.000000", "1000"),
        ("0.000001", "0.000001"),
        ("0.000000", "0"),
        ("-2.500000", "-2.5"),
        (Decimal("1E+3"), "1000"),
    ],
)
def test_an_amount_has_no_zeros_that_say_nothing(amount: Decimal | str, words: str) -> None:
    assert plain(amount) == words


def test_money_is_spelled_alike_wherever_people_read_it() -> None:
    assert price("0.100000", "spark") == "0.1 spark"
    assert str(Charge(Decimal("0.100000"), "spark")) == "0.1 spark"
    assert str(Balance(spark=Decimal("999.900000"), sogni=Decimal(0))) == "999.9 spark, 0 sogni"
