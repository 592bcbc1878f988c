import { faker } from '@faker-js/faker/locale/en';
import type { Random } from './random.ts';

const CATEGORIES = ['Electronics', 'Clothing', 'Books', 'Home & Garden', 'Sports', 'Toys'] as const;

export type NewProduct = Readonly<{
  name: string;
  description: string;
  price: string;
  category: string;
  stock_quantity: number;
}>;

export function planProducts(count: number, random: Random): NewProduct[] {
  return Array.from({ length: count }, () => ({
    name: faker.commerce.productName(),
    description: faker.commerce.productDescription(),
    price: planPrice(random),
    category: random.pick(CATEGORIES),
    stock_quantity: random.integer(20, 500),
  }));
}

/** Half of the stocks are below 150, one in ten is low. */
export function planStock(random: Random): number {
  return random.chance(0.1) ? random.integer(0, 9) : Math.floor(10 + 490 * random.next() ** 2);
}

/** Skewed: half are below 20, one in a hundred above 150. */
function planPrice(random: Random): string {
  const price = Math.exp(3 + 0.85 * random.normal());
  return (Math.min(499, Math.max(1, Math.floor(price))) + 0.99).toFixed(2);
}
