/*
materialization: table
tags: [daily]
owner: analytics
description: >
  The shop in one row: how many customers, products and orders there are of each kind, totals and
  averages. Cancelled orders count neither as orders nor as revenue.
columns:
  customers: { description: Customers there are., tests: [not_null] }
  gold_customers: { description: Of segment Gold. }
  silver_customers: { description: Of segment Silver. }
  bronze_customers: { description: Of segment Bronze. }
  very_active_customers: { description: With an order in the last 7 days. }
  active_customers: { description: 'With an order in the last 30 days, none in the last 7.' }
  inactive_customers: { description: Without an order in the last 30 days. }
  average_customer_spend: { description: 'Spend by customer, those without orders too.' }
  products: { description: Products there are., tests: [not_null] }
  star_products: { description: Star Products. }
  fast_moving_products: { description: Fast Moving ones. }
  high_revenue_products: { description: High Revenue ones. }
  low_performers: { description: Low Performers. }
  out_of_stock_products: { description: Out of Stock. }
  low_stock_products: { description: Low Stock. }
  overstocked_products: { description: Overstock. }
  normally_stocked_products: { description: 'Normal: neither low nor too many.' }
  units_sold: { description: Units in orders that weren't cancelled., tests: [not_null] }
  average_product_revenue: { description: 'Revenue by product, unsold ones too.' }
  orders: { description: Orders that weren't cancelled., tests: [not_null] }
  cancelled_orders: { description: Orders that were. }
  total_revenue: { description: The amount of the orders that weren't., tests: [not_null] }
  average_order_value: { description: Revenue by order; null without orders. }
tests:
  - row_count: { min: 1, max: 1 }
  - expression: gold_customers + silver_customers + bronze_customers = customers
    name: segments_add_up
  - expression: very_active_customers + active_customers + inactive_customers = customers
    name: recencies_add_up
  - expression: star_products + fast_moving_products + high_revenue_products + low_performers = products
    name: performances_add_up
  - expression: >
      out_of_stock_products + low_stock_products + overstocked_products + normally_stocked_products
      = products
    name: stock_statuses_add_up
serve:
  - { key: 'batch_summary:{run_number}', expires: 24h, limit: 1 }
dialect: portable
*/
WITH customers AS (
  SELECT
    COUNT(*) AS customers,
    COUNT(*) FILTER (WHERE segment = 'Gold') AS gold_customers,
    COUNT(*) FILTER (WHERE segment = 'Silver') AS silver_customers,
    COUNT(*) FILTER (WHERE segment = 'Bronze') AS bronze_customers,
    COUNT(*) FILTER (WHERE recency = 'Very Active') AS very_active_customers,
    COUNT(*) FILTER (WHERE recency = 'Active') AS active_customers,
    COUNT(*) FILTER (WHERE recency = 'Inactive') AS inactive_customers,
    CAST(SUM(total_spent) AS DOUBLE) / NULLIF(COUNT(*), 0) AS average_customer_spend
  FROM {{ ref('customer_segments') }}
),

products AS (
  SELECT
    COUNT(*) AS products,
    COUNT(*) FILTER (WHERE performance = 'Star Product') AS star_products,
    COUNT(*) FILTER (WHERE performance = 'Fast Moving') AS fast_moving_products,
    COUNT(*) FILTER (WHERE performance = 'High Revenue') AS high_revenue_products,
    COUNT(*) FILTER (WHERE performance = 'Low Performer') AS low_performers,
    COUNT(*) FILTER (WHERE stock_status = 'Out of Stock') AS out_of_stock_products,
    COUNT(*) FILTER (WHERE stock_status = 'Low Stock') AS low_stock_products,
    COUNT(*) FILTER (WHERE stock_status = 'Overstock') AS overstocked_products,
    COUNT(*) FILTER (WHERE stock_status = 'Normal') AS normally_stocked_products,
    CAST(COALESCE(SUM(units_sold), 0) AS BIGINT) AS units_sold,
    CAST(SUM(revenue) AS DOUBLE) / NULLIF(COUNT(*), 0) AS average_product_revenue
  FROM {{ ref('product_performance') }}
),

orders AS (
  SELECT
    COUNT(*) FILTER (WHERE status IS DISTINCT FROM 'cancelled') AS orders,
    COUNT(*) FILTER (WHERE status = 'cancelled') AS cancelled_orders,
    CAST(
      COALESCE(SUM(total_amount) FILTER (WHERE status IS DISTINCT FROM 'cancelled'), 0)
      AS DECIMAL(18, 2)
    ) AS total_revenue
  FROM {{ source('orders') }}
)

SELECT
  customers.customers,
  customers.gold_customers,
  customers.silver_customers,
  customers.bronze_customers,
  customers.very_active_customers,
  customers.active_customers,
  customers.inactive_customers,
  customers.average_customer_spend,
  products.products,
  products.star_products,
  products.fast_moving_products,
  products.high_revenue_products,
  products.low_performers,
  products.out_of_stock_products,
  products.low_stock_products,
  products.overstocked_products,
  products.normally_stocked_products,
  products.units_sold,
  products.average_product_revenue,
  orders.orders,
  orders.cancelled_orders,
  orders.total_revenue,
  CAST(orders.total_revenue AS DOUBLE) / NULLIF(orders.orders, 0) AS average_order_value
FROM customers
CROSS JOIN products
CROSS JOIN orders
