/*
materialization: incremental_by_key
tags: [daily]
owner: analytics
description: >
  What each customer has ordered. Cancelled orders count neither as orders nor as spend. Customers
  without an order that counts have no row, and orders without a customer are in none.
columns:
  customer_id:
    description: The customer.
    tests:
      - unique
      - not_null
      # An order may reach the lake a moment before its customer does.
      - { relationships: { to: source('customers'), field: id }, severity: warn }
  total_orders: { description: Orders that weren't cancelled., tests: [not_null] }
  total_spent: { description: Their amount in all., tests: [not_null] }
  last_order: { description: The time of the newest; null when none of them has a time. }
tests:
  - expression: total_orders > 0
  # The demonstration may be idle, a shop should not.
  - { freshness: { column: last_order, max_age: 1d }, severity: warn }
incremental: { column: customer_id, affected_by: { orders: customer_id } }
dialect: portable
*/
SELECT
  customer_id,
  COUNT(*) AS total_orders,
  CAST(SUM(total_amount) AS DECIMAL(18, 2)) AS total_spent,
  MAX(order_date) AS last_order
FROM {{ source('orders') }}
WHERE customer_id IS NOT NULL
  AND status IS DISTINCT FROM 'cancelled'
  AND {{ affected('customer_id') }}
GROUP BY customer_id
