import unittest
from decimal import Decimal, Inexact

from revenue_by_status.change import Change, Order, Removed
from revenue_by_status.revenue import Effects, Total


def order(status: str, amount: str) -> Order:
    return Order(status, Decimal(amount))


def total(orders: int, revenue: str) -> Total:
    return Total(orders, Decimal(revenue))


def effects_of(last_seen: dict[str, Order], *changes: Change) -> Effects:
    effects = Effects(last_seen)
    effects.take(changes)
    return effects


class EffectsOfChanges(unittest.TestCase):
    def test_a_new_order_adds_its_amount_to_its_status(self) -> None:
        effects = effects_of({}, Change("1", order("pending", "0.10")))
        self.assertEqual(effects.totals, {"pending": total(1, "0.10")})
        self.assertEqual(effects.orders, {"1": order("pending", "0.10")})

    def test_an_order_that_goes_on_takes_its_amount_along(self) -> None:
        effects = effects_of({"1": order("pending", "5")}, Change("1", order("shipped", "6")))
        self.assertEqual(effects.totals, {"pending": total(-1, "-5"), "shipped": total(1, "6")})

    def test_a_deleted_order_takes_its_amount_away(self) -> None:
        effects = effects_of({"1": order("pending", "5")}, Change("1", Removed.ROW))
        self.assertEqual(effects.totals, {"pending": total(-1, "-5")})
        self.assertEqual(effects.orders, {"1": None})

    def test_an_order_that_was_never_seen_may_be_deleted(self) -> None:
        self.assertEqual(effects_of({}, Change("1", Removed.ROW)).totals, {})

    def test_a_row_that_comes_again_has_no_effect(self) -> None:
        seen = order("pending", "5")
        effects = effects_of({"1": seen}, Change("1", seen), Change("1", seen))
        self.assertEqual(effects.totals, {"pending": total(0, "0")})

    def test_changes_of_one_batch_build_on_each_other(self) -> None:
        effects = effects_of(
            {},
            Change("1", order("pending", "5")),
            Change("1", Removed.ROW),
            Change("1", order("shipped", "7")),
        )
        self.assertEqual(effects.totals["pending"], total(0, "0"))
        self.assertEqual(effects.totals["shipped"], total(1, "7"))
        self.assertEqual(effects.orders, {"1": order("shipped", "7")})

    def test_a_truncate_takes_away_what_was_stored_and_what_this_batch_brought(self) -> None:
        effects = effects_of(
            {"1": order("pending", "5"), "2": order("shipped", "1")},
            Change("2", Removed.ROW),
            Change("3", order("pending", "2")),
            Change(None, Removed.ALL),
            Change("4", order("pending", "9")),
        )
        self.assertEqual(effects.totals, {"pending": total(0, "4"), "shipped": total(-1, "-1")})
        self.assertEqual(
            effects.orders, {"1": None, "2": None, "3": None, "4": order("pending", "9")}
        )

    def test_sums_are_exact_where_binary_fractions_and_28_digits_are_not(self) -> None:
        tenths = (Change(str(n), order("paid", "0.1")) for n in range(3))
        large = Change("large", order("paid", "1" + "0" * 40))
        revenue = effects_of({}, *tenths, large).totals["paid"].revenue
        self.assertEqual(format(revenue, "f"), "1" + "0" * 40 + ".3")

    def test_a_sum_that_would_be_rounded_is_refused(self) -> None:
        with self.assertRaises(Inexact):
            effects_of({}, Change("1", order("paid", "1e2000")), Change("2", order("paid", "0.1")))


if __name__ == "__main__":
    unittest.main()
