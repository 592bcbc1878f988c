"""
The revenue in Redis, together with how far the topic has been taken into account.

    revenue_by_status                        hash    status -> {"orders": 3, "revenue": "30.00"}
    revenue_by_status:position:<partition>   string  offset of the next record to take into account
    revenue_by_status:orders:<partition>     hash    order id -> {"status": …, "amount": …}, as last seen

Exactly once: effects and position change in one transaction (MULTI/EXEC), which applies only if
nobody has changed what it was computed from (WATCH). A process that is killed before EXEC has done
nothing, after it everything; the position tells which. Kafka's own committed offsets could not: they
are written apart from the effects, so that a kill between the two repeats or loses records.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from redis import Redis, WatchError
from redis.client import Pipeline

from .change import Change, Order, Removed
from .revenue import Effects, Total

_TOTALS = "revenue_by_status"


class Ledger:
    def __init__(self, redis: Redis) -> None:
        """`redis` decodes responses."""
        self._redis = redis

    def position(self, partition: int) -> int | None:
        """The offset to read from; None where nothing of the partition was taken into account."""
        return _offset(self._redis.get(_position_key(partition)))

    def apply(
        self, partition: int, expected: int | None, changes: Sequence[Change], position: int
    ) -> int | None:
        """
        Adds the effects of the changes between two positions, and returns the position that is then
        stored. That is another than `position` where the stored one was not `expected`: another
        process has gone on, or Redis has lost its last writes. Nothing is changed then, and the
        caller reads on from what is returned.
        """
        while True:
            with self._redis.pipeline() as transaction:
                try:
                    transaction.watch(_position_key(partition), _TOTALS)
                    stored = _offset(transaction.get(_position_key(partition)))
                    if stored != expected:
                        return stored
                    effects = Effects(_last_seen(transaction, partition, changes))
                    effects.take(changes)
                    totals = _totals(transaction, effects.totals)
                    transaction.multi()
                    _write(transaction, _TOTALS, totals)
                    _write(transaction, _orders_key(partition), _rows(effects))
                    transaction.set(_position_key(partition), position)
                    transaction.execute()
                    return position
                except WatchError:
                    # Another partition's process has added to the totals meanwhile, or the
                    # connection broke, and EXEC may have happened: the position tells.
                    continue


def _position_key(partition: int) -> str:
    return f"{_TOTALS}:position:{partition}"


def _orders_key(partition: int) -> str:
    return f"{_TOTALS}:orders:{partition}"


def _offset(text: Any) -> int | None:
    return None if text is None else int(text)


def _last_seen(redis: Pipeline, partition: int, changes: Iterable[Change]) -> Mapping[str, Order]:
    key = _orders_key(partition)
    if any(change.now is Removed.ALL for change in changes):
        return {str(order_id): _order(text) for order_id, text in redis.hgetall(key).items()}
    return {order_id: _order(text) for order_id, text in _some(redis, key, _ids(changes)).items()}


def _ids(changes: Iterable[Change]) -> list[str]:
    return list({change.order_id: None for change in changes if change.order_id is not None})


def _some(redis: Pipeline, key: str, fields: list[str]) -> dict[str, str]:
    """The fields of a hash that exist."""
    values = redis.hmget(key, fields) if fields else []
    return {field: str(value) for field, value in zip(fields, values) if value is not None}


def _order(text: str | bytes) -> Order:
    order = json.loads(text)
    return Order(order["status"], Decimal(order["amount"]))


def _rows(effects: Effects) -> dict[str, str | None]:
    return {
        order_id: None
        if order is None
        else json.dumps({"status": order.status, "amount": format(order.amount, "f")})
        for order_id, order in effects.orders.items()
    }


def _totals(redis: Pipeline, added: Mapping[str, Total]) -> dict[str, str | None]:
    stored = {status: _total(text) for status, text in _some(redis, _TOTALS, list(added)).items()}
    return {status: _text(stored.get(status, Total()) + total) for status, total in added.items()}


def _total(text: str) -> Total:
    total = json.loads(text)
    return Total(total["orders"], Decimal(total["revenue"]))


def _text(total: Total) -> str | None:
    """A status that no order has is none: SQL's GROUP BY has no row for it either."""
    if total.orders == 0:
        return None
    return json.dumps({"orders": total.orders, "revenue": format(total.revenue, "f")})


def _write(redis: Pipeline, key: str, fields: Mapping[str, str | None]) -> None:
    for field, value in fields.items():
        if value is None:
            redis.hdel(key, field)
        else:
            redis.hset(key, field, value)
