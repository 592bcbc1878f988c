/** The time of the first run of the models, and of the second. */
export const FIRST_RUN_MS = Date.parse('2026-03-15T12:34:56.789Z');
export const SECOND_RUN_MS = Date.parse('2026-04-02T00:00:00.000Z');

/**
 * Rows of the shop that exist before anyone follows it. Small numbers of different amounts, units
 * and stocks make ties, at the cut-offs too; of 153 customers a third never ordered, of 65 products
 * a fifth never sold. There are all states and some that are none, orders of no customer, of no
 * status and of no day, items of no order and of no product, and days at both sides of each limit.
 */
export const ROWS_BEFORE = `
  INSERT INTO customers (first_name, last_name, email, state)
  SELECT 'First ' || n, CASE n % 9 WHEN 0 THEN 'O''Neill' WHEN 1 THEN 'Žáková' ELSE 'Last' END,
         n || '@example.com',
         (string_to_array(
           'IA IL IN KS MI MN MO ND NE OH SD WI AL AR DC DE FL GA KY LA MD MS NC OK SC TN TX VA WV ' ||
           'CT MA ME NH NJ NY PA RI VT AK AZ CA CO HI ID MT NM NV OR UT WA WY PR ca Ontario', ' '
         ))[n % 56 + 1]
    FROM generate_series(1, 150) AS n;

  INSERT INTO products (name, price, category, stock_quantity)
  SELECT 'Product ' || n, (ARRAY[0.01, 0.10, 9.99, 19.95, 333.33])[n % 5 + 1],
         (ARRAY['Books', 'Toys', 'Home & Garden', NULL])[n % 4 + 1],
         (ARRAY[NULL, -3, 0, 1, 9, 10, 11, 20, 20, 20, 499, 500, 501])[n % 13 + 1]
    FROM generate_series(1, 60) AS n;

  INSERT INTO orders (customer_id, order_date, total_amount, status)
  SELECT CASE WHEN n % 41 = 0 THEN NULL ELSE 1 + (n * n + n + n / 7) % 103 END,
         CASE
           WHEN n % 53 = 0 THEN NULL
           WHEN n % 59 = 0 THEN timestamp '2026-03-16 08:00' + n * interval '1 day'
           WHEN n % 6 = 0 THEN timestamp '2026-03-15 23:59:59.999999'
             - (ARRAY[0, 6, 7, 8, 29, 30, 31, 32])[n % 8 + 1] * interval '1 day'
           ELSE timestamp '2026-03-15 00:00'
             - ((n * 7919) % 40) * ((n * 31) % 3 + 1) * interval '1 day'
         END,
         (ARRAY[0, 0.01, 10, 10, 10, 24.99, 24.99, 99.95, 1000, 12345678.91])[(n * 13) % 10 + 1],
         (ARRAY['pending', 'processing', 'shipped', 'delivered', 'cancelled', 'cancelled', 'on hold', NULL])
           [(n * 5) % 8 + 1]
    FROM generate_series(1, 600) AS n;

  INSERT INTO order_items (order_id, product_id, quantity, unit_price)
  SELECT CASE WHEN n % 97 = 0 THEN NULL ELSE 1 + (n * 17) % 590 END,
         CASE WHEN n % 89 = 0 THEN NULL ELSE 1 + (n * n + n / 3) % 52 END,
         n % 3 + 1, (ARRAY[0.01, 9.99, 9.99, 19.95, 333.33])[n % 5 + 1]
    FROM generate_series(1, 1500) AS n;

  INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
  SELECT gen_random_uuid(), 'order', n, 'placed', jsonb_build_object('n', n)
    FROM generate_series(1, 20) AS n;
`;

/** What happens while changes are captured; each is a transaction. */
export const CHANGES: readonly string[] = [
  `UPDATE orders SET status = 'delivered', updated_at = now() WHERE status = 'shipped' AND id % 2 = 0`,
  `UPDATE orders SET status = 'cancelled' WHERE id % 37 = 0`,
  // To another customer, another day and another amount.
  `UPDATE orders SET customer_id = customer_id + 1 WHERE id % 29 = 0 AND customer_id < 100`,
  `UPDATE orders SET order_date = order_date - interval '3 days' WHERE id % 31 = 0`,
  `UPDATE orders SET total_amount = total_amount + 0.01 WHERE id % 43 = 0`,
  `UPDATE customers SET state = CASE state WHEN 'CA' THEN 'NY' WHEN 'TX' THEN NULL ELSE 'CA' END
    WHERE state IN ('CA', 'TX', 'PR')`,
  `UPDATE products SET stock_quantity = stock_quantity - 10 WHERE id % 7 = 0`,
  // Keys change.
  `UPDATE customers SET id = id + 10000 WHERE id IN (140, 141)`,
  `UPDATE orders SET id = id + 10000 WHERE id IN (595, 596)`,
  `UPDATE order_items SET id = id + 10000 WHERE id % 101 = 0`,
  // Deleted, and deleted and there again, in one transaction and in two.
  `DELETE FROM order_items WHERE order_id IN (7, 8, 9); DELETE FROM orders WHERE id IN (7, 8, 9)`,
  `DELETE FROM customers WHERE id = 150`,
  `DELETE FROM customers WHERE id = 149;
   INSERT INTO customers (id, first_name, last_name, email, state) VALUES (149, 'New', 'One', 'new@example.com', 'VT')`,
  `INSERT INTO customers (id, first_name, last_name, email, state) VALUES (150, 'Again', 'There', 'again@example.com', 'WY')`,
  `INSERT INTO orders (customer_id, order_date, total_amount, status)
   SELECT 110 + n, timestamp '2026-03-14 10:00' + n * interval '1 hour', 24.99, 'pending' FROM generate_series(1, 12) AS n`,
  `TRUNCATE outbox`,
];

/** What happens between the two runs: an incremental model makes only a part of its rows anew. */
export const LATER_CHANGES: readonly string[] = [
  `INSERT INTO orders (customer_id, order_date, total_amount, status)
   SELECT 120 + n % 5, timestamp '2026-04-01 10:00' + n * interval '1 hour', 5.55 * n, 'pending' FROM generate_series(1, 30) AS n`,
  // The only order that counts, of a day and of a customer, goes.
  `UPDATE orders SET status = 'cancelled' WHERE customer_id = 111`,
  `UPDATE orders SET order_date = order_date + interval '1 day' WHERE customer_id BETWEEN 20 AND 25`,
  `UPDATE orders SET customer_id = NULL WHERE id % 61 = 0`,
  `UPDATE orders SET order_date = NULL WHERE id % 67 = 0`,
  `UPDATE orders SET order_date = timestamp '2025-01-01' WHERE id % 71 = 0`,
  `DELETE FROM order_items WHERE order_id % 20 = 0; DELETE FROM orders WHERE id % 20 = 0`,
  `UPDATE orders SET id = id + 20000, status = 'shipped' WHERE id BETWEEN 10595 AND 10596`,
];

/** All items go, and then orders at once. */
export const TRUNCATION = `TRUNCATE order_items, orders`;
