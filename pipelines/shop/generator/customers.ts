import { faker } from '@faker-js/faker/locale/en';
import type { Random } from './random.ts';
import { STATES } from './states.ts';

/** A customer before the database gives it an id, which becomes part of its email address. */
export type NewCustomer = Readonly<{
  first_name: string;
  last_name: string;
  mailbox: string;
  phone: string;
  address: string;
  city: string;
  state: string;
  zip_code: string;
}>;

/** Customers from all states, or all from `onlyFrom`. */
export function planCustomers(count: number, random: Random, onlyFrom?: string): NewCustomer[] {
  return Array.from({ length: count }, () => {
    const [state, zip] = STATES.find(([code]) => code === onlyFrom) ?? random.pick(STATES);
    const first = faker.person.firstName();
    const last = faker.person.lastName();
    return {
      first_name: first,
      last_name: last,
      mailbox: `${first}.${last}`.toLowerCase().replace(/[^a-z.]/g, ''),
      phone: planPhone(),
      address: faker.location.streetAddress(),
      city: faker.location.city(),
      state,
      zip_code: zip + faker.string.numeric(2),
    };
  });
}

export function planPhone(): string {
  return faker.phone.number({ style: 'national' });
}
