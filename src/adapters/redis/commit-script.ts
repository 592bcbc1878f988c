import type { Commit, TaskOffsets } from '../../ports/store.ts';
import { DECIMAL_SUM } from './decimal-sum.ts';
import { Script } from './script.ts';
import {
  EXPIRING,
  FORMAT,
  FORMAT_VERSION,
  OFFSETS,
  ORDER,
  OUTGOING,
  SEQUENCE,
  SERVED,
  STATE,
  TASKS,
} from './store-keys.ts';

/** Offsets and names come in turns; a refusal has the number of the served write, from 0. */
export type CommitReply =
  | 'applied'
  | readonly ['conflict', found: readonly string[]]
  | readonly ['refused', write: number, found: string];

/**
 * One commit. Redis takes nothing back when a script fails, so all served writes are first worked
 * out over what is stored; the first command that writes is one that Redis refuses when its memory
 * is full, and it refuses none after it.
 *
 * A key that expired by the server's clock counts as one that expires until it is swept: what a
 * commit does never depends on the clock.
 */
export const COMMIT = new Script<CommitReply>(`
${DECIMAL_SUM}
local commit = cjson.decode(ARGV[1])
local offsets = '${OFFSETS}' .. commit.task

local found, unmatched = redis.call('HGETALL', offsets), 0
for _ in pairs(commit.from) do unmatched = unmatched + 1 end
for at = 1, #found, 2 do
  unmatched = commit.from[found[at]] == found[at + 1] and unmatched - 1 or math.huge
end
if unmatched ~= 0 then return { 'conflict', found } end

local drafts = {}

local function draft(key)
  if drafts[key] then return drafts[key] end
  local expires = redis.call('ZSCORE', '${EXPIRING}', key)
  local kind = expires and 'string' or redis.call('TYPE', key).ok
  local new = { kind = kind, stored = kind, expires = expires, expired = expires }
  if kind == 'set' then
    new.count, new.members, new.keeps = redis.call('SCARD', key), {}, true
  end
  drafts[key] = new
  return new
end

local function clear(key)
  key.kind, key.expires, key.value = 'none', false, nil
  key.count, key.members, key.keeps = 0, {}, false
end

local function has(key, name, member)
  local drafted = key.members[member]
  if drafted ~= nil then return drafted end
  return key.keeps and redis.call('SISMEMBER', name, member) == 1
end

-- Each is false when the key's type does not allow it.
local apply = {}

function apply.put(key, _, value, expires)
  if key.kind ~= 'string' and key.kind ~= 'none' then return false end
  key.kind, key.value, key.expires = 'string', value, expires or false
  return true
end

function apply.delete(key)
  clear(key)
  return true
end

function apply.add(key, name, amount)
  if key.expires or key.kind ~= 'string' and key.kind ~= 'none' then return false end
  local value = key.kind == 'none' and '0' or key.value or redis.call('GET', name)
  local total = sum(value, amount)
  if not total then return false end
  key.kind, key.value = 'string', total
  return true
end

function apply.setAdd(key, name, member)
  if key.kind ~= 'set' and key.kind ~= 'none' then return false end
  if key.kind == 'none' then clear(key) end
  key.kind = 'set'
  if not has(key, name, member) then
    key.members[member], key.count = true, key.count + 1
  end
  return true
end

function apply.setRemove(key, name, member)
  if key.kind == 'none' then return true end
  if key.kind ~= 'set' then return false end
  if has(key, name, member) then
    key.members[member], key.count = false, key.count - 1
    if key.count == 0 then clear(key) end
  end
  return true
end

for number, write in ipairs(commit.served) do
  local op, name = write[1], write[2]
  local key = draft(name)
  if not apply[op](key, name, write[3], write[4]) then
    local kind = key.kind == 'none' and 'nothing' or 'a ' .. key.kind
    return { 'refused', number - 1, key.expires and 'a string that expires' or kind }
  end
end

if #found == 0 then redis.call('SET', '${FORMAT}', '${FORMAT_VERSION}', 'NX') end
redis.call('ZADD', '${TASKS}', 0, commit.task)
redis.call('DEL', offsets)
for partition, offset in pairs(commit.to) do redis.call('HSET', offsets, partition, offset) end

local state, order = '${STATE}' .. commit.task, '${ORDER}' .. commit.task
for _, write in ipairs(commit.state) do
  local key, value = write[1], write[2]
  if value then
    if redis.call('HSET', state, key, value) == 1 then redis.call('ZADD', order, 0, key) end
  elseif redis.call('HDEL', state, key) == 1 then
    redis.call('ZREM', order, key)
  end
end

for name, key in pairs(drafts) do
  if key.kind == 'string' then
    if key.expires then
      redis.call('SET', name, key.value, 'PXAT', key.expires)
      redis.call('ZADD', '${EXPIRING}', key.expires, name)
    else
      redis.call('SET', name, key.value)
    end
  else
    if not key.keeps and key.stored ~= 'none' then redis.call('UNLINK', name) end
    for member, isIn in pairs(key.members or {}) do
      redis.call(isIn and 'SADD' or 'SREM', name, member)
    end
  end
  if key.expired and not key.expires then redis.call('ZREM', '${EXPIRING}', name) end
  if key.kind == 'none' then
    redis.call('ZREM', '${SERVED}', name)
  elseif key.stored == 'none' then
    redis.call('ZADD', '${SERVED}', 0, name)
  end
end

if #commit.outgoing > 0 then
  for _, record in ipairs(commit.outgoing) do
    redis.call('RPUSH', '${OUTGOING}' .. commit.task, record)
  end
  redis.call('INCRBY', '${SEQUENCE}' .. commit.task, #commit.outgoing)
end
return 'applied'
`);

/**
 * The script's one argument: JSON, as Redis limits the number of arguments. Numbers go as text,
 * since those of Lua would be printed with 17 digits.
 */
export function commitArgument({ task, from, to, state, served, outgoing }: Commit): string {
  return JSON.stringify({
    task,
    from: asTexts(from),
    to: asTexts(to),
    // Without `undefined`: JSON would turn it into a null, which is a value in Lua.
    state: state.map(([key, value]) => (value === undefined ? [key] : [key, value])),
    served: served.map((write) => {
      switch (write.op) {
        case 'put': {
          const { op, key, value, expiresAtMs } = write;
          return expiresAtMs === undefined ? [op, key, value] : [op, key, value, time(expiresAtMs)];
        }
        case 'delete':
          return [write.op, write.key];
        case 'add':
          return [write.op, write.key, write.amount];
        default:
          return [write.op, write.key, write.member];
      }
    }),
    outgoing: outgoing.map((record) => JSON.stringify(record)),
  });
}

function asTexts(offsets: TaskOffsets): Record<string, string> {
  return Object.fromEntries(
    Object.entries(offsets).map(([name, offset]) => [name, String(offset)]),
  );
}

/** Redis takes whole milliseconds after 1970, and would fail at any other amid the script. */
function time(ms: number): string {
  return String(Math.min(Math.max(1, Math.ceil(ms)), Number.MAX_SAFE_INTEGER));
}
