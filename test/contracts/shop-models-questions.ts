/**
 * What the shop's models answer, asked of PostgreSQL in words of its own: by lateral joins, arrays,
 * date arithmetic and percentiles over exact numbers, none of which the models use. `now` is an
 * expression for the time of the run.
 */
export const QUESTIONS: Readonly<Record<string, (now: string) => string>> = {
  customer_totals: () => `
    SELECT o.customer_id, count(*) AS total_orders, sum(o.total_amount) AS total_spent,
           max(o.order_date) AS last_order
      FROM orders o
     WHERE o.customer_id IS NOT NULL AND coalesce(o.status, '') <> 'cancelled'
     GROUP BY o.customer_id
     ORDER BY o.customer_id`,

  customer_segments: segments,

  product_performance: performance,

  daily_orders: () => `SELECT * FROM (${ordersByDay()}) AS d ORDER BY day, status COLLATE "C"`,

  order_analytics: () =>
    `SELECT * FROM (${ordersByDay()}) AS d ORDER BY day DESC, status COLLATE "C"`,

  revenue_analytics: () => `
    WITH revenues AS (
      SELECT order_date::date AS day, array_agg(total_amount) FILTER (WHERE NOT ${CANCELLED}) AS amounts
        FROM orders WHERE order_date IS NOT NULL GROUP BY 1
    ),
    calendar AS (
      SELECT spine::date AS day, amounts, revenues.day IS NOT NULL AS has_orders,
             coalesce((SELECT sum(a) FROM unnest(amounts) AS a), 0.00) AS revenue
        FROM generate_series((SELECT min(day) FROM revenues), (SELECT max(day) FROM revenues), '1 day') AS spine
        LEFT JOIN revenues ON revenues.day = spine::date
    )
    SELECT day, orders, revenue, moving_average_7_days, running_total, total_revenue
      FROM (
        SELECT day, has_orders, coalesce(cardinality(amounts), 0) AS orders, revenue,
               avg(revenue) OVER (ORDER BY day ROWS 6 PRECEDING)::float8 AS moving_average_7_days,
               sum(revenue) OVER (ORDER BY day) AS running_total,
               sum(revenue) OVER () AS total_revenue
          FROM calendar
      ) AS each_day
     WHERE has_orders
     ORDER BY day DESC`,

  geographic_distribution: () => `
    SELECT region, name, cardinality(ids) AS customers, cardinality(amounts) AS orders,
           coalesce((SELECT sum(a) FROM unnest(amounts) AS a), 0.00) AS revenue,
           (SELECT avg(a) FROM unnest(amounts) AS a)::float8 AS average_order_value
      FROM (VALUES (0, 'unknown'), (1, 'north'), (2, 'south'), (4, 'east'), (8, 'west')) AS r (region, name)
     CROSS JOIN LATERAL (
       SELECT array(SELECT id FROM customers WHERE ${REGION} = region) AS ids,
              array(
                SELECT total_amount FROM orders
                 WHERE NOT ${CANCELLED}
                   AND coalesce((SELECT ${REGION} FROM customers WHERE id = customer_id), 0) = region
              ) AS amounts
     ) AS its
     ORDER BY revenue DESC, region`,

  batch_summary: (now) => `
    WITH c AS (${segments(now)}), p AS (${performance()})
    SELECT
      (SELECT count(*) FROM customers) AS customers,
      (SELECT count(*) FROM c WHERE segment = 'Gold') AS gold_customers,
      (SELECT count(*) FROM c WHERE segment = 'Silver') AS silver_customers,
      (SELECT count(*) FROM c WHERE segment = 'Bronze') AS bronze_customers,
      (SELECT count(*) FROM c WHERE recency = 'Very Active') AS very_active_customers,
      (SELECT count(*) FROM c WHERE recency = 'Active') AS active_customers,
      (SELECT count(*) FROM c WHERE recency = 'Inactive') AS inactive_customers,
      (SELECT avg(total_spent)::float8 FROM c) AS average_customer_spend,
      (SELECT count(*) FROM products) AS products,
      (SELECT count(*) FROM p WHERE performance = 'Star Product') AS star_products,
      (SELECT count(*) FROM p WHERE performance = 'Fast Moving') AS fast_moving_products,
      (SELECT count(*) FROM p WHERE performance = 'High Revenue') AS high_revenue_products,
      (SELECT count(*) FROM p WHERE performance = 'Low Performer') AS low_performers,
      (SELECT count(*) FROM p WHERE stock_status = 'Out of Stock') AS out_of_stock_products,
      (SELECT count(*) FROM p WHERE stock_status = 'Low Stock') AS low_stock_products,
      (SELECT count(*) FROM p WHERE stock_status = 'Overstock') AS overstocked_products,
      (SELECT count(*) FROM p WHERE stock_status = 'Normal') AS normally_stocked_products,
      (SELECT coalesce(sum(units_sold), 0) FROM p) AS units_sold,
      (SELECT avg(revenue)::float8 FROM p) AS average_product_revenue,
      (SELECT count(*) FROM orders WHERE NOT ${CANCELLED}) AS orders,
      (SELECT count(*) FROM orders WHERE status = 'cancelled') AS cancelled_orders,
      (SELECT coalesce(sum(total_amount), 0.00) FROM orders WHERE status IS NULL OR status <> 'cancelled')
        AS total_revenue,
      (SELECT avg(total_amount)::float8 FROM orders WHERE status IS NULL OR status <> 'cancelled')
        AS average_order_value`,
};

const CANCELLED = `coalesce(status = 'cancelled', false)`;

const REGION = `CASE
  WHEN state = ANY ('{IN,IL,MI,OH,WI,IA,KS,MN,MO,NE,ND,SD}') THEN 1
  WHEN state = ANY ('{DE,DC,FL,GA,MD,NC,SC,VA,WV,AL,KY,MS,TN,AR,LA,OK,TX}') THEN 2
  WHEN state = ANY ('{CT,ME,MA,NH,RI,VT,NJ,NY,PA}') THEN 4
  WHEN state = ANY ('{AZ,CO,ID,NM,MT,UT,NV,WY,AK,CA,HI,OR,WA}') THEN 8
  ELSE 0 END`;

function segments(now: string): string {
  return `
    SELECT customer_id, name, state, total_orders, total_spent, last_order, days_since_last_order,
           CASE
             WHEN spent_rank >= 0.8 AND orders_rank >= 0.8 THEN 'Gold'
             WHEN spent_rank >= 0.6 OR orders_rank >= 0.8 THEN 'Silver'
             ELSE 'Bronze'
           END AS segment,
           (ARRAY['Very Active', 'Active', 'Inactive'])
             [1 + (days_since_last_order > 7)::int + (days_since_last_order > 30)::int] AS recency,
           total_spent + total_spent AS estimated_lifetime_value
      FROM (
        SELECT c.id AS customer_id, format('%s %s', first_name, last_name) AS name, state,
               total_orders, total_spent, last_order,
               CASE WHEN last_order > ${now} THEN 0 ELSE coalesce((${now})::date - last_order::date, 999) END AS days_since_last_order,
               cume_dist() OVER (ORDER BY total_spent) AS spent_rank,
               cume_dist() OVER (ORDER BY total_orders) AS orders_rank
          FROM customers c
          CROSS JOIN LATERAL (
            SELECT count(*) AS total_orders, coalesce(sum(total_amount), 0.00) AS total_spent,
                   max(order_date) AS last_order
              FROM orders WHERE customer_id = c.id AND NOT ${CANCELLED}
          ) AS its
      ) AS ranked
     ORDER BY total_spent DESC, customer_id`;
}

function performance(): string {
  return `
    SELECT product_id, name, category, price, stock_quantity, units_sold, revenue, revenue_per_unit, turnover,
           CASE (turnover_rank >= 0.8, revenue_rank >= 0.8)
             WHEN (true, true) THEN 'Star Product'
             WHEN (true, false) THEN 'Fast Moving'
             WHEN (false, true) THEN 'High Revenue'
             ELSE 'Low Performer'
           END AS performance,
           CASE
             WHEN stock_quantity BETWEEN 1 AND 10 THEN 'Low Stock'
             WHEN stock_quantity BETWEEN 11 AND 499 THEN 'Normal'
             WHEN stock_quantity > 499 THEN 'Overstock'
             ELSE 'Out of Stock'
           END AS stock_status
      FROM (
        SELECT p.id AS product_id, name, category, price, stock_quantity, units_sold, revenue,
               (revenue / nullif(units_sold, 0))::float8 AS revenue_per_unit,
               turnover,
               cume_dist() OVER (ORDER BY turnover) AS turnover_rank,
               cume_dist() OVER (ORDER BY revenue) AS revenue_rank
          FROM products p
          CROSS JOIN LATERAL (
            SELECT coalesce(sum(quantity), 0) AS units_sold,
                   coalesce(sum(quantity * unit_price), 0.00) AS revenue
              FROM order_items
             WHERE product_id = p.id
               AND NOT EXISTS (SELECT FROM orders o WHERE o.id = order_id AND o.status = 'cancelled')
          ) AS its
          CROSS JOIN LATERAL (
            SELECT units_sold::float8 / greatest(stock_quantity, 1) AS turnover
          ) AS turned
      ) AS ranked
     ORDER BY revenue DESC, product_id`;
}

function ordersByDay(): string {
  return `
    SELECT order_date::date AS day, coalesce(status, 'unknown') AS status, count(*) AS orders,
           sum(CASE WHEN ${CANCELLED} THEN 0.00 ELSE total_amount END) AS revenue,
           avg(total_amount)::float8 AS average_amount,
           min(total_amount) AS minimum_amount, max(total_amount) AS maximum_amount
      FROM orders WHERE isfinite(order_date)
     GROUP BY 1, coalesce(status, 'unknown')`;
}
