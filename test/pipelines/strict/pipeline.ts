export { strict as pipeline } from '../payments.ts';
