/*
materialization: table
tags: [daily]
owner: analytics
description: >
  How well each product sells, and whether it is in stock; the one that earns most first. Items of
  cancelled orders are not sold. The cut-offs are 80th percentiles over all products, unsold ones
  with them: where more than four in five never sold, the cut-offs are 0 and all products reach them.
columns:
  product_id: { description: The product., tests: [unique, not_null] }
  name: { description: Its name today. }
  category: { description: Its category today; null when it has none. }
  price: { description: Its price today. }
  stock_quantity: { description: Units in stock; null when that isn't known. }
  units_sold: { description: Units in orders that weren't cancelled., tests: [not_null] }
  revenue: { description: What they were sold for., tests: [not_null] }
  revenue_per_unit: { description: What a unit was sold for on average; null when none was. }
  turnover:
    description: Units sold for each one in stock, of which there is at least one.
    tests: [not_null]
  performance:
    description: >
      Star Product when revenue and turnover reach the 80th percentile, Fast Moving when turnover does,
      High Revenue when revenue does, else Low Performer.
    tests:
      - not_null
      - accepted_values: [Star Product, Fast Moving, High Revenue, Low Performer]
  stock_status:
    description: >
      Out of Stock when there is none, or when that isn't known; Low Stock up to 10, Overstock from
      500 on, else Normal.
    tests: [not_null, { accepted_values: [Out of Stock, Low Stock, Overstock, Normal] }]
tests:
  - row_count: { min: 1 }
  # Fails where the cut-offs tell no products apart.
  - expression: units_sold > 0 OR performance = 'Low Performer'
    name: unsold_products_are_low_performers
    severity: warn
serve:
  - { key: 'product_performance:latest', limit: 1000 }
  - { key: 'batch_etl:products:latest', limit: 1000 }
  - { key: 'batch_etl:products:{run_time}', expires: 2h, limit: 1000 }
dialect: portable
*/
WITH sales AS (
  SELECT
    items.product_id,
    CAST(SUM(items.quantity) AS BIGINT) AS units_sold,
    CAST(SUM(items.quantity * items.unit_price) AS DECIMAL(18, 2)) AS revenue
  FROM {{ source('order_items') }} AS items
  LEFT JOIN {{ source('orders') }} AS orders ON orders.id = items.order_id
  WHERE orders.status IS DISTINCT FROM 'cancelled'
  GROUP BY items.product_id
),

figures AS (
  SELECT
    products.id AS product_id,
    products.name,
    products.category,
    products.price,
    products.stock_quantity,
    COALESCE(sales.units_sold, 0) AS units_sold,
    COALESCE(sales.revenue, CAST(0 AS DECIMAL(18, 2))) AS revenue,
    CAST(sales.revenue AS DOUBLE) / NULLIF(sales.units_sold, 0) AS revenue_per_unit,
    CAST(COALESCE(sales.units_sold, 0) AS DOUBLE)
    / GREATEST(COALESCE(products.stock_quantity, 0), 1) AS turnover
  FROM {{ source('products') }} AS products
  LEFT JOIN sales ON sales.product_id = products.id
),

cut_offs AS (
  SELECT
    percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(revenue AS DOUBLE)) AS revenue_80,
    percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(turnover AS DOUBLE)) AS turnover_80
  FROM figures
)

SELECT
  product_id,
  name,
  category,
  price,
  stock_quantity,
  units_sold,
  revenue,
  revenue_per_unit,
  turnover,
  CASE
    WHEN CAST(revenue AS DOUBLE) >= revenue_80 AND turnover >= turnover_80 THEN 'Star Product'
    WHEN turnover >= turnover_80 THEN 'Fast Moving'
    WHEN CAST(revenue AS DOUBLE) >= revenue_80 THEN 'High Revenue'
    ELSE 'Low Performer'
  END AS performance,
  CASE
    WHEN COALESCE(stock_quantity, 0) <= 0 THEN 'Out of Stock'
    WHEN stock_quantity <= 10 THEN 'Low Stock'
    WHEN stock_quantity >= 500 THEN 'Overstock'
    ELSE 'Normal'
  END AS stock_status
FROM figures
CROSS JOIN cut_offs
ORDER BY revenue DESC, product_id NULLS LAST
