import { faker } from '@faker-js/faker/locale/en';
import { BULK_ORDERS, DEPLETION_ORDERS, type Anomalies } from './anomalies.ts';
import { Deck } from './deck.ts';
import type { Random } from './random.ts';

export type KnownProduct = Readonly<{ id: number; price: number }>;

/** An order before the database gives it an id, its products' prices and so its total. */
export type NewOrder = Readonly<{
  customer_id: number;
  shipping_address: string;
  items: readonly Readonly<{ product_id: number; quantity: number }>[];
}>;

/** No more is ordered at once, but where an anomaly is provoked. */
const ORDINARY_AMOUNT = 1000;
/** Products dearer than this sell less the dearer they are. */
const EVERYDAY_PRICE = 25;

/** Orders of known customers for known products, neither of which may be empty. */
export function planOrders({
  count,
  customers,
  products,
  anomalies,
  random,
}: Readonly<{
  count: number;
  customers: readonly number[];
  products: readonly KnownProduct[];
  anomalies: Anomalies;
  random: Random;
}>): NewOrder[] {
  const buyers = new Deck(customers, random);
  const goods = new Deck(products, random);
  const orders = Array.from({ length: count }, () => ({
    customer_id: buyers.deal(),
    shipping_address: faker.location.streetAddress({ useFullAddress: true }),
    items: planItems(goods, products.length, random),
  }));
  return provoked(orders, { buyers, goods, products, anomalies });
}

function planItems(goods: Deck<KnownProduct>, known: number, random: Random): NewOrder['items'] {
  const quantities = new Map<number, number>();
  let left = ORDINARY_AMOUNT;
  for (let many = Math.min(random.integer(1, 5), known); many > 0; many -= 1) {
    const { id, price } = affordable(goods, random);
    if (quantities.has(id)) continue;
    // Of the first there is one, whatever it costs.
    const most = Math.max(Math.floor(left / price), quantities.size === 0 ? 1 : 0);
    const quantity = Math.min(random.integer(1, 3), most);
    if (quantity === 0) continue;
    quantities.set(id, quantity);
    left -= quantity * price;
  }
  return [...quantities].map(([product_id, quantity]) => ({ product_id, quantity }));
}

function affordable(goods: Deck<KnownProduct>, random: Random): KnownProduct {
  for (let tries = 0; tries < 20; tries += 1) {
    const product = goods.deal();
    if (random.chance((EVERYDAY_PRICE / product.price) ** 1.5)) return product;
  }
  return goods.deal();
}

/** Rewrites the first orders, and adds some where a batch is too small for a burst. */
function provoked(
  orders: readonly NewOrder[],
  {
    buyers,
    goods,
    products,
    anomalies,
  }: Readonly<{
    buyers: Deck<number>;
    goods: Deck<KnownProduct>;
    products: readonly KnownProduct[];
    anomalies: Anomalies;
  }>,
): NewOrder[] {
  const [template] = orders;
  if (template === undefined) return [];
  const all = [...orders];
  const rewrite = (many: number, change: (order: NewOrder) => NewOrder): void => {
    for (let at = 0; at < many; at += 1)
      all[at] = change(all[at] ?? { ...template, customer_id: buyers.deal() });
  };
  if (anomalies.highValueOrder) {
    const dearest = products.toSorted((a, b) => b.price - a.price || a.id - b.id).slice(0, 5);
    const items = dearest.map(({ id }) => ({ product_id: id, quantity: 3 }));
    rewrite(1, (order) => ({ ...order, items }));
  }
  if (anomalies.bulkOrders) {
    const customer_id = buyers.deal();
    rewrite(BULK_ORDERS, (order) => ({ ...order, customer_id }));
  }
  if (anomalies.stockDepletion) {
    const product_id = cheapOf(goods, products).id;
    rewrite(DEPLETION_ORDERS, (order) => ({ ...order, items: [{ product_id, quantity: 3 }] }));
  }
  return all;
}

/** So that many units of it don't make an order dear. */
function cheapOf(goods: Deck<KnownProduct>, products: readonly KnownProduct[]): KnownProduct {
  let cheapest = goods.deal();
  for (let left = products.length - 1; left > 0 && cheapest.price > EVERYDAY_PRICE; left -= 1) {
    const other = goods.deal();
    if (other.price < cheapest.price) cheapest = other;
  }
  return cheapest;
}
