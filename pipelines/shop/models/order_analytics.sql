/*
materialization: table
tags: [daily]
owner: analytics
description: The orders of each day, by status, as in daily_orders; the newest day first.
columns:
  day: { description: 'The day of the order, UTC.', tests: [not_null] }
  status: { description: The status today; unknown when it has none., tests: [not_null] }
  orders: { description: How many. }
  revenue: { description: Their amount in all; 0 of cancelled ones. }
  average_amount: { description: 'The average amount of an order, cancelled or not.' }
  minimum_amount: { description: The smallest amount. }
  maximum_amount: { description: The largest amount. }
tests:
  - unique: [day, status]
  # Not an error: a shop may have a status of its own.
  - sql: >
      SELECT * FROM {{ ref('order_analytics') }}
      WHERE status NOT IN ('pending', 'processing', 'shipped', 'delivered', 'cancelled')
    name: order_statuses_are_known
    severity: warn
serve:
  - { key: 'batch_etl:orders:latest', limit: 1000 }
  - { key: 'batch_etl:orders:{run_time}', expires: 2h, limit: 1000 }
dialect: portable
*/
SELECT
  day,
  status,
  orders,
  revenue,
  average_amount,
  minimum_amount,
  maximum_amount
FROM {{ ref('daily_orders') }}
ORDER BY day DESC, status NULLS LAST
