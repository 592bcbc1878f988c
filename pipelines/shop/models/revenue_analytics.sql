/*
materialization: table
tags: [daily]
owner: analytics
description: >
  The revenue of each day that has orders; the newest day first. Cancelled orders count neither as
  orders nor as revenue; orders without a date are in no day.
columns:
  day: { description: 'The day of the orders, UTC.', tests: [unique, not_null] }
  orders: { description: Orders that weren't cancelled., tests: [not_null] }
  revenue: { description: Their amount in all., tests: [not_null] }
  moving_average_7_days:
    description: >
      Revenue a day over the seven calendar days that end with this one; days without orders count as 0,
      days before the first order don't count.
    tests: [not_null]
  running_total: { description: Revenue up to this day's end., tests: [not_null] }
  total_revenue: { description: Revenue of all days., tests: [not_null] }
tests:
  - sql: >
      SELECT * FROM {{ ref('revenue_analytics') }}
      WHERE day = (SELECT MAX(day) FROM {{ ref('revenue_analytics') }})
        AND running_total <> total_revenue
    name: running_total_ends_at_total_revenue
serve:
  - { key: 'revenue_analytics:latest', limit: 1000 }
dialect: portable
*/
WITH days AS (
  SELECT
    day,
    CAST(day AS TIMESTAMP) AS day_start,
    CAST(COALESCE(SUM(orders) FILTER (WHERE status <> 'cancelled'), 0) AS BIGINT) AS orders,
    CAST(SUM(revenue) AS DECIMAL(18, 2)) AS revenue
  FROM {{ ref('daily_orders') }}
  GROUP BY day
),

windows AS (
  SELECT
    day,
    orders,
    revenue,
    SUM(revenue) OVER (
      ORDER BY day_start NULLS LAST RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW
    ) AS revenue_of_7_days,
    EXTRACT(DAY FROM (day_start - MIN(day_start) OVER ())) + 1 AS days_so_far,
    SUM(revenue) OVER (ORDER BY day_start NULLS LAST ROWS UNBOUNDED PRECEDING) AS running_total,
    SUM(revenue) OVER () AS total_revenue
  FROM days
)

SELECT
  day,
  orders,
  revenue,
  CAST(revenue_of_7_days AS DOUBLE) / NULLIF(LEAST(7, days_so_far), 0) AS moving_average_7_days,
  CAST(running_total AS DECIMAL(18, 2)) AS running_total,
  CAST(total_revenue AS DECIMAL(18, 2)) AS total_revenue
FROM windows
ORDER BY day DESC
