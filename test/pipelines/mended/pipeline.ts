export { mended as pipeline } from '../payments.ts';
