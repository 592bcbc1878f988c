import json
import unittest
from decimal import Decimal
from typing import Any

from revenue_by_status.change import Change, NotAChange, Order, Removed, parse_change

KEY = b'{"id": 7}'


def event(op: str, after: dict[str, Any] | None = None) -> bytes:
    return json.dumps({"op": op, "before": None, "after": after}).encode()


def row(amount: Any = "12.50", status: str | None = "pending") -> dict[str, Any]:
    return {"id": 7, "status": status, "total_amount": amount}


class ParseChange(unittest.TestCase):
    def test_a_created_an_updated_and_a_copied_row_are_what_the_order_is_from_now_on(self) -> None:
        for op in ("c", "u", "r"):
            with self.subTest(op):
                self.assertEqual(
                    parse_change(KEY, event(op, row())),
                    Change("7", Order("pending", Decimal("12.50"))),
                )

    def test_a_deleted_row_is_no_more(self) -> None:
        self.assertEqual(parse_change(KEY, event("d")), Change("7", Removed.ROW))

    def test_a_truncate_removes_all_rows(self) -> None:
        self.assertEqual(parse_change(None, event("t")), Change(None, Removed.ALL))

    def test_a_tombstone_and_a_logical_message_change_no_row(self) -> None:
        self.assertIsNone(parse_change(KEY, None))
        self.assertIsNone(parse_change(None, event("m")))

    def test_amounts_stay_the_decimals_that_they_are(self) -> None:
        amount = "12345678901234567890123456789012345678.01"
        change = parse_change(KEY, event("c", row(amount)))
        assert change is not None and isinstance(change.now, Order)
        self.assertEqual(format(change.now.amount, "f"), amount)

    def test_an_order_without_a_status_is_counted_as_such(self) -> None:
        self.assertEqual(
            parse_change(KEY, event("c", row(status=None))),
            Change("7", Order("(none)", Decimal("12.50"))),
        )

    def test_what_is_no_change_is_refused_with_what_was_expected_and_found(self) -> None:
        for key, value, said in (
            (KEY, b"not JSON", "expected the value to be JSON, found b'not JSON'"),
            (KEY, b'{"schema": {}, "payload": {}}', "value.converter.schemas.enable=false"),
            (KEY, event("c"), 'expected "after" to be a row, found None'),
            (None, event("c", row()), "expected a key"),
            (KEY, event("c", row(12.5)), "found 12.5; a connector writes that with decimal"),
            (KEY, event("c", row("BNI=")), "decimal.handling.mode=string"),
            (KEY, event("c", row("NaN")), "found 'NaN'"),
        ):
            with self.subTest(said), self.assertRaises(NotAChange) as raised:
                parse_change(key, value)
            self.assertIn(said, str(raised.exception))


if __name__ == "__main__":
    unittest.main()
