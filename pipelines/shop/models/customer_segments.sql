/*
materialization: table
tags: [daily]
owner: analytics
description: >
  What each customer is worth, and how lately they ordered; the best first. The cut-offs are
  percentiles over all customers, those without orders with them: where more than four in five never
  ordered, the cut-offs are 0 and everyone reaches them. Cancelled orders count neither as orders nor
  as spend.
columns:
  customer_id: { description: The customer., tests: [unique, not_null] }
  name: { description: First and last name. }
  state: { description: As the customer gave it. }
  total_orders: { description: Orders that weren't cancelled., tests: [not_null] }
  total_spent: { description: Their amount in all., tests: [not_null] }
  last_order: { description: The time of the newest; null when there is none. }
  days_since_last_order:
    description: Calendar days up to the run; 0 when it lies in the future, 999 when there is none.
    tests: [not_null]
  segment:
    description: >
      Gold when spend and orders reach the 80th percentile, Silver when spend reaches the 60th or orders
      the 80th, else Bronze.
    tests: [not_null, { accepted_values: [Gold, Silver, Bronze] }]
  recency:
    description: Very Active up to 7 days since the last order, Active up to 30, else Inactive.
    tests: [not_null, { accepted_values: [Very Active, Active, Inactive] }]
  estimated_lifetime_value: { description: Twice what was spent., tests: [not_null] }
tests:
  - row_count: { min: 1 }
  - expression: total_orders >= 0 AND days_since_last_order >= 0
  # Fails where the cut-offs tell nobody apart.
  - expression: total_orders > 0 OR segment = 'Bronze'
    name: customers_without_orders_are_bronze
    severity: warn
serve:
  - { key: 'customer_segments:latest', limit: 1000 }
  - { key: 'batch_etl:customers:latest', limit: 1000 }
  - { key: 'batch_etl:customers:{run_time}', expires: 2h, limit: 1000 }
dialect: portable
*/
WITH spending AS (
  SELECT
    customers.id AS customer_id,
    customers.first_name || ' ' || customers.last_name AS name,
    customers.state,
    COALESCE(totals.total_orders, 0) AS total_orders,
    COALESCE(totals.total_spent, CAST(0 AS DECIMAL(18, 2))) AS total_spent,
    totals.last_order,
    CASE
      WHEN totals.last_order IS NULL THEN 999
      ELSE CAST(
        EXTRACT(
          DAY FROM (
            date_trunc('day', {{ run_started_at }})
            - date_trunc('day', LEAST(totals.last_order, {{ run_started_at }}))
          )
        ) AS INTEGER
      )
    END AS days_since_last_order
  FROM {{ source('customers') }} AS customers
  LEFT JOIN {{ ref('customer_totals') }} AS totals ON totals.customer_id = customers.id
),

cut_offs AS (
  SELECT
    percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(total_spent AS DOUBLE)) AS spent_80,
    percentile_disc(0.6) WITHIN GROUP (ORDER BY CAST(total_spent AS DOUBLE)) AS spent_60,
    percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(total_orders AS DOUBLE)) AS orders_80
  FROM spending
)

SELECT
  customer_id,
  name,
  state,
  total_orders,
  total_spent,
  last_order,
  days_since_last_order,
  CASE
    WHEN CAST(total_spent AS DOUBLE) >= spent_80 AND CAST(total_orders AS DOUBLE) >= orders_80
      THEN 'Gold'
    WHEN CAST(total_spent AS DOUBLE) >= spent_60 OR CAST(total_orders AS DOUBLE) >= orders_80
      THEN 'Silver'
    ELSE 'Bronze'
  END AS segment,
  CASE
    WHEN days_since_last_order <= 7 THEN 'Very Active'
    WHEN days_since_last_order <= 30 THEN 'Active'
    ELSE 'Inactive'
  END AS recency,
  CAST(total_spent * 2 AS DECIMAL(18, 2)) AS estimated_lifetime_value
FROM spending
CROSS JOIN cut_offs
ORDER BY total_spent DESC, customer_id NULLS LAST
