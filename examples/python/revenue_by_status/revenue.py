"""What changes do to the revenue. No input or output: the rule alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from .change import Change, Order, Removed

# Python's own context rounds to 28 digits in silence; this one refuses to round.
_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation, Overflow])


@dataclass(frozen=True)
class Total:
    orders: int = 0
    revenue: Decimal = Decimal(0)

    def __add__(self, other: "Total") -> "Total":
        return Total(self.orders + other.orders, _EXACT.add(self.revenue, other.revenue))

    def __neg__(self) -> "Total":
        return Total(-self.orders, _EXACT.minus(self.revenue))


class Effects:
    """
    What a batch of changes does, given the orders as they were last seen.

    The effect of a change is the order as it is now minus the order as it was *last seen here*. So
    a change that comes a second time, such as a row that is copied again, has no effect; `before`
    in the event would count it twice, and is only complete with REPLICA IDENTITY FULL.
    """

    def __init__(self, last_seen: Mapping[str, Order]) -> None:
        self._last_seen = last_seen
        self.orders: dict[str, Order | None] = {}
        """Orders that changed, None for those that are no more."""
        self.totals: dict[str, Total] = {}
        """What to add to the total of each status."""

    def take(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.now is Removed.ALL:
                for order_id in self._last_seen.keys() | self.orders.keys():
                    self._replace(order_id, None)
            elif change.order_id is not None:
                now = change.now
                self._replace(change.order_id, now if isinstance(now, Order) else None)

    def _replace(self, order_id: str, now: Order | None) -> None:
        known = self.orders if order_id in self.orders else self._last_seen
        seen = known.get(order_id)
        if seen is not None:
            self._add(seen.status, -Total(1, seen.amount))
        if now is not None:
            self._add(now.status, Total(1, now.amount))
        self.orders[order_id] = now

    def _add(self, status: str, total: Total) -> None:
        self.totals[status] = self.totals.get(status, Total()) + total
