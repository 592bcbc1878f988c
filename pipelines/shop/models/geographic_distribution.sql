/*
materialization: table
tags: [daily]
owner: analytics
description: >
  Customers, orders and revenue by region, the one that brings most first; a region without any has a
  row of zeros. Cancelled orders count neither as orders nor as revenue. Orders are where their
  customer is.
columns:
  region:
    description: 'A bit: north 1, south 2, east 4, west 8; 0 is unknown: another state, none, or no customer.'
    tests: [unique, not_null, { accepted_values: [0, 1, 2, 4, 8] }]
  name: { description: Its name., tests: [not_null] }
  customers: { description: Customers of its states., tests: [not_null] }
  orders: { description: Their orders that weren't cancelled., tests: [not_null] }
  revenue: { description: The amount of these orders., tests: [not_null] }
  average_order_value: { description: Revenue by order; null without orders. }
tests:
  - row_count: { min: 5, max: 5 }
serve:
  - { key: 'geographic_distribution:latest', limit: 1000 }
dialect: portable
*/
WITH regions AS (
  SELECT
    region,
    name
  FROM (
    VALUES (0, 'unknown'), (1, 'north'), (2, 'south'), (4, 'east'), (8, 'west')
  ) AS bits (region, name)
),

customers AS (
  SELECT
    customers.id,
    COALESCE(states.region, 0) AS region
  FROM {{ source('customers') }} AS customers
  LEFT JOIN {{ ref('state_regions') }} AS states ON states.state = customers.state
),

orders AS (
  SELECT
    COALESCE(customers.region, 0) AS region,
    orders.total_amount
  FROM {{ source('orders') }} AS orders
  LEFT JOIN customers ON customers.id = orders.customer_id
  WHERE orders.status IS DISTINCT FROM 'cancelled'
),

customers_by_region AS (
  SELECT
    region,
    COUNT(*) AS customers
  FROM customers
  GROUP BY region
),

orders_by_region AS (
  SELECT
    region,
    COUNT(*) AS orders,
    CAST(SUM(total_amount) AS DECIMAL(18, 2)) AS revenue
  FROM orders
  GROUP BY region
)

SELECT
  regions.region,
  regions.name,
  COALESCE(customers_by_region.customers, 0) AS customers,
  COALESCE(orders_by_region.orders, 0) AS orders,
  COALESCE(orders_by_region.revenue, CAST(0 AS DECIMAL(18, 2))) AS revenue,
  CAST(orders_by_region.revenue AS DOUBLE)
  / NULLIF(orders_by_region.orders, 0) AS average_order_value
FROM regions
LEFT JOIN customers_by_region ON customers_by_region.region = regions.region
LEFT JOIN orders_by_region ON orders_by_region.region = regions.region
ORDER BY revenue DESC, regions.region NULLS LAST
