-- The shop: applying this twice changes nothing.

CREATE TABLE IF NOT EXISTS customers (
  id serial PRIMARY KEY,
  first_name varchar(100) NOT NULL,
  last_name varchar(100) NOT NULL,
  email varchar(255) UNIQUE NOT NULL,
  phone varchar(20),
  address text,
  city varchar(100),
  state varchar(50),
  zip_code varchar(20),
  created_at timestamp DEFAULT now(),
  updated_at timestamp DEFAULT now()
);

CREATE TABLE IF NOT EXISTS products (
  id serial PRIMARY KEY,
  name varchar(255) NOT NULL,
  description text,
  price decimal(10, 2) NOT NULL,
  category varchar(100),
  stock_quantity integer DEFAULT 0,
  created_at timestamp DEFAULT now(),
  updated_at timestamp DEFAULT now()
);

CREATE TABLE IF NOT EXISTS orders (
  id serial PRIMARY KEY,
  customer_id integer REFERENCES customers (id),
  order_date timestamp DEFAULT now(),
  total_amount decimal(10, 2) NOT NULL,
  status varchar(50) DEFAULT 'pending',
  shipping_address text,
  created_at timestamp DEFAULT now(),
  updated_at timestamp DEFAULT now()
);

CREATE TABLE IF NOT EXISTS order_items (
  id serial PRIMARY KEY,
  order_id integer REFERENCES orders (id),
  product_id integer REFERENCES products (id),
  quantity integer NOT NULL,
  unit_price decimal(10, 2) NOT NULL,
  created_at timestamp DEFAULT now()
);

CREATE TABLE IF NOT EXISTS outbox (
  id uuid PRIMARY KEY,
  aggregatetype varchar(255) NOT NULL,
  aggregateid varchar(255) NOT NULL,
  type varchar(255) NOT NULL,
  payload jsonb
);

CREATE INDEX IF NOT EXISTS customers_email_idx ON customers (email);
CREATE INDEX IF NOT EXISTS orders_customer_id_idx ON orders (customer_id);
CREATE INDEX IF NOT EXISTS orders_order_date_idx ON orders (order_date);
CREATE INDEX IF NOT EXISTS order_items_order_id_idx ON order_items (order_id);
CREATE INDEX IF NOT EXISTS order_items_product_id_idx ON order_items (product_id);

-- Updates and deletes carry the whole old row. Only where it is not so yet: it needs a table's lock.
DO $$
DECLARE
  shop_table regclass;
BEGIN
  FOR shop_table IN
    SELECT oid FROM pg_class
     WHERE oid IN ('customers'::regclass, 'products'::regclass, 'orders'::regclass, 'order_items'::regclass)
       AND relreplident <> 'f'
  LOOP
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', shop_table);
  END LOOP;
END
$$;

-- Sample rows go into tables that never had a row: those that were changed or deleted since stay so.
INSERT INTO customers (first_name, last_name, email, phone, address, city, state, zip_code)
SELECT sample.*
FROM (
  VALUES
    ('John', 'Doe', 'john.doe@example.com', '555-0101', '123 Main St', 'New York', 'NY', '10001'),
    ('Jane', 'Smith', 'jane.smith@example.com', '555-0102', '456 Oak Ave', 'Los Angeles', 'CA', '90001'),
    ('Bob', 'Johnson', 'bob.johnson@example.com', '555-0103', '789 Pine Rd', 'Chicago', 'IL', '60601')
) AS sample
WHERE NOT (SELECT is_called FROM customers_id_seq);

INSERT INTO products (name, description, price, category, stock_quantity)
SELECT sample.*
FROM (
  VALUES
    ('Laptop Computer', 'High-performance laptop', 999.99, 'Electronics', 50),
    ('Coffee Mug', 'Ceramic mug, 350 ml', 12.99, 'Home & Garden', 200),
    ('Desk Chair', 'Ergonomic office chair', 299.99, 'Home & Garden', 25),
    ('Wireless Mouse', 'Wireless optical mouse', 39.99, 'Electronics', 100),
    ('Notebook', 'Spiral-bound notebook', 4.99, 'Books', 500)
) AS sample
WHERE NOT (SELECT is_called FROM products_id_seq);
