import { Script } from './script.ts';
import {
  EXPIRING,
  OFFSETS,
  ORDER,
  OUTGOING,
  SEQUENCE,
  SERVED,
  STATE,
  TASKS,
} from './store-keys.ts';

/** Arguments: task, first, last, most entries, "REV" or nothing. Keys and values of one moment. */
export const STATE_PAGE = new Script<readonly [keys: string[], values: string[]]>(`
local query = { '${ORDER}' .. ARGV[1], ARGV[2], ARGV[3], 'BYLEX' }
if ARGV[5] == 'REV' then table.insert(query, 'REV') end
for _, word in ipairs({ 'LIMIT', 0, ARGV[4] }) do table.insert(query, word) end
local keys = redis.call('ZRANGE', unpack(query))
if #keys == 0 then return { keys, keys } end
return { keys, redis.call('HMGET', '${STATE}' .. ARGV[1], unpack(keys)) }
`);

/** Arguments: first, last, most keys. An expiry is null where there is none. */
export const SERVED_PAGE = new Script<readonly [keys: string[], expiries: (string | null)[]]>(`
local keys = redis.call('ZRANGE', '${SERVED}', ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
if #keys == 0 then return { keys, keys } end
return { keys, redis.call('ZMSCORE', '${EXPIRING}', unpack(keys)) }
`);

/** Argument: key. The expiry is empty where there is none. */
export const GET = new Script<
  readonly ['set', members: string[]] | readonly ['string', value: string, expiry: string] | null
>(`
local kind = redis.call('TYPE', ARGV[1]).ok
if kind == 'set' then return { kind, redis.call('SMEMBERS', ARGV[1]) } end
if kind ~= 'string' then return false end
return { kind, redis.call('GET', ARGV[1]), redis.call('ZSCORE', '${EXPIRING}', ARGV[1]) or '' }
`);

/** Arguments: task, most bytes. The sequence number is that of the first chunk. */
export const READ_OUTGOING = new Script<readonly [sequence: number, chunks: Buffer[]]>(
  `
local list = '${OUTGOING}' .. ARGV[1]
local last = tonumber(redis.call('GET', '${SEQUENCE}' .. ARGV[1]) or '0')
local length, left, chunks = redis.call('LLEN', list), tonumber(ARGV[2]), {}
while #chunks < length and #chunks < 1000 do
  local chunk = redis.call('LINDEX', list, #chunks)
  left = left - #chunk
  if left < 0 and #chunks > 0 then break end
  chunks[#chunks + 1] = chunk
end
return { last - length + 1, chunks }
`,
  { isBinary: true },
);

/** Arguments: task, sequence number of the last chunk to drop, the chunk's SHA-1. */
export const FORWARDED = new Script<null>(`
local list = '${OUTGOING}' .. ARGV[1]
local last = tonumber(redis.call('GET', '${SEQUENCE}' .. ARGV[1]) or '0')
local done = ARGV[2] - (last - redis.call('LLEN', list))
if done <= 0 then return false end
local chunk = redis.call('LINDEX', list, done - 1)
if chunk and redis.sha1hex(chunk) == ARGV[3] then redis.call('LTRIM', list, done, -1) end
return false
`);

/** Arguments: time in ms, most keys. Returns how many it removed. */
export const SWEEP = new Script<number>(`
local expired = redis.call(
  'ZRANGE', '${EXPIRING}', '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
if #expired == 0 then return 0 end
redis.call('UNLINK', unpack(expired))
redis.call('ZREM', '${SERVED}', unpack(expired))
redis.call('ZREM', '${EXPIRING}', unpack(expired))
return #expired
`);

/** Argument: task. Its sequence number stays. */
export const DROP_TASK = new Script<null>(`
redis.call('ZREM', '${TASKS}', ARGV[1])
redis.call('UNLINK', '${OFFSETS}' .. ARGV[1], '${STATE}' .. ARGV[1], '${ORDER}' .. ARGV[1],
  '${OUTGOING}' .. ARGV[1])
return false
`);
