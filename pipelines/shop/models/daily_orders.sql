/*
materialization: incremental_by_time_range
tags: [daily]
owner: analytics
description: >
  The orders of each day, by status. Orders without a date are in no day.
columns:
  day: { description: 'The day of the order, UTC.', tests: [not_null] }
  status: { description: The status today; unknown when it has none., tests: [not_null] }
  orders: { description: How many., tests: [not_null] }
  revenue: { description: Their amount in all; 0 of cancelled ones., tests: [not_null] }
  average_amount: { description: 'The average amount of an order, cancelled or not.' }
  minimum_amount: { description: The smallest amount. }
  maximum_amount: { description: The largest amount. }
tests:
  - unique: [day, status]
  - expression: orders > 0
  - expression: status <> 'cancelled' OR revenue = 0
    name: cancelled_orders_are_no_revenue
  - sql: SELECT id FROM {{ source('orders') }} WHERE order_date IS NULL
    name: orders_have_a_date
    severity: warn
incremental: { column: day, grain: day, affected_by: { orders: order_date } }
dialect: portable
*/
SELECT
  CAST(order_date AS DATE) AS day,
  COALESCE(status, 'unknown') AS status,
  COUNT(*) AS orders,
  CAST(
    COALESCE(SUM(total_amount) FILTER (WHERE status IS DISTINCT FROM 'cancelled'), 0)
    AS DECIMAL(18, 2)
  ) AS revenue,
  CAST(SUM(total_amount) AS DOUBLE) / NULLIF(COUNT(*), 0) AS average_amount,
  MIN(total_amount) AS minimum_amount,
  MAX(total_amount) AS maximum_amount
FROM {{ source('orders') }}
WHERE order_date IS NOT NULL
  AND {{ affected('order_date') }}
GROUP BY CAST(order_date AS DATE), COALESCE(status, 'unknown')
