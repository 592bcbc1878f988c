import { topology, webhook } from '../../../src/index.ts';
import type { Alert } from './alerts.ts';
import { ALERT_TOPIC } from './stream-processor.ts';

/** Variable that holds the address to call; without it there is nobody to tell. */
export const ALERT_WEBHOOK_URL = 'SHOP_ALERT_WEBHOOK_URL';

/** Calls a URL for each alert, as JSON. A processor of its own: it comes and goes with the address. */
export const alertWebhook = topology('alert-webhook', {}, ({ topic }) => {
  topic<Alert>(ALERT_TOPIC).sink(webhook({ url: `\${env:${ALERT_WEBHOOK_URL}}` }), {
    name: 'calls',
  });
});
