import { outboxRouter } from '../../../src/index.ts';
import { outbox } from '../tables.ts';

/** What the shop announces to other services, on `outbox.event.order`. */
export const outboxEvents = outboxRouter('outbox', {
  table: outbox,
  aggregates: ['order'],
  headers: { eventType: 'type' },
});
