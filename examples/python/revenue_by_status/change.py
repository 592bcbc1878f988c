"""One record of the topic, as far as revenue by status is concerned."""

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Order:
    status: str
    amount: Decimal


class Removed(Enum):
    """What a change says of rows that are no more."""

    ROW = "this row"
    ALL = "all rows of the partition"


@dataclass(frozen=True)
class Change:
    """What an order is from now on. `order_id` is None where all orders are removed."""

    order_id: str | None
    now: Order | Removed


class NotAChange(ValueError):
    """Says what was expected, and what was found."""


def parse_change(key: bytes | None, value: bytes | None) -> Change | None:
    """
    Reads a change event in Debezium's envelope. Returns None for a record that changes no row: the
    tombstone that follows a delete, which is there for compaction, and a logical message.

    https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events
    """
    if value is None:
        return None
    event = _object("the value", value)
    match event.get("op"):
        case "c" | "u" | "r":  # created, updated, read by a copy
            return Change(_order_id(key), _order(event.get("after")))
        case "d":
            return Change(_order_id(key), Removed.ROW)
        case "t":  # truncated: a record in every partition
            return Change(None, Removed.ALL)
        case "m":
            return None
        case op:
            raise NotAChange(
                f'expected "op" to be one of c, u, d, r, t, m, found {op!r}; a connector writes that '
                "with key.converter.schemas.enable=false and value.converter.schemas.enable=false"
            )


def _order_id(key: bytes | None) -> str:
    order_id = None if key is None else _object("the key", key).get("id")
    if order_id is None:
        raise NotAChange(f'expected a key like {{"id": 1}}, found {key!r}')
    return str(order_id)


def _order(row: Any) -> Order:
    if not isinstance(row, dict):
        raise NotAChange(f'expected "after" to be a row, found {row!r}')
    status = row.get("status")
    return Order("(none)" if status is None else str(status), _amount(row.get("total_amount")))


def _amount(text: Any) -> Decimal:
    """A string, as a JSON number would have passed through a binary fraction in other readers."""
    try:
        amount = Decimal(text) if isinstance(text, str) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite():
        raise NotAChange(
            f'expected "total_amount" to be a decimal in a string, like "12.50", found {text!r}; '
            "a connector writes that with decimal.handling.mode=string"
        )
    return amount


def _object(what: str, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise NotAChange(f"expected {what} to be JSON, found {text[:80]!r}") from error
    if not isinstance(value, dict):
        raise NotAChange(f"expected {what} to be a JSON object, found {text[:80]!r}")
    return value
