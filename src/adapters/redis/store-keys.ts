/*
 * What the store keeps, beside the served keys, which are Redis keys of their own names: strings
 * and sets, with Redis's own expiry.
 *
 *   millrace:format            string       the version of this layout
 *   millrace:tasks             sorted set   tasks that committed
 *   millrace:served            sorted set   names of the served keys, for listing them in order
 *   millrace:expiring          sorted set   served keys that expire, by their time in ms
 *   millrace:offsets:TASK      hash         topic-partition -> offset
 *   millrace:state:TASK        hash         key -> value
 *   millrace:order:TASK        sorted set   the keys of the state
 *   millrace:outgoing:TASK     list         chunks not yet forwarded, oldest first
 *   millrace:sequence:TASK     string       sequence number of the last chunk put out
 *
 * Sorted sets whose scores are all 0 are ordered by the bytes of their members.
 */
export const RESERVED = 'millrace:';

export const FORMAT = `${RESERVED}format`;
export const FORMAT_VERSION = '2';
export const TASKS = `${RESERVED}tasks`;
export const SERVED = `${RESERVED}served`;
export const EXPIRING = `${RESERVED}expiring`;

/** Followed by the task's name. */
export const OFFSETS = `${RESERVED}offsets:`;
export const STATE = `${RESERVED}state:`;
export const ORDER = `${RESERVED}order:`;
export const OUTGOING = `${RESERVED}outgoing:`;
export const SEQUENCE = `${RESERVED}sequence:`;
