import type { Commit, ServedWrite, TaskOffsets } from '../../ports/store.ts';
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

-- Many at a time: within what Lua unpacks, and even, so that pairs stay together.
local PAGE = 4000

local function pages(list, visit)
  for at = 1, #list, PAGE do visit(unpack(list, at, math.min(at + PAGE - 1, #list))) end
end

local function call(command, name, list)
  pages(list, function(...) redis.call(command, name, ...) end)
end

local function ask(list, query)
  local answers = {}
  pages(list, function(...)
    for _, answer in ipairs(query(...)) do answers[#answers + 1] = answer end
  end)
  return answers
end

-- Each key that is written, as it will be; at first as it is.
local drafts, names = {}, {}
for _, write in ipairs(commit.served) do
  local name = write[2]
  if not drafts[name] then
    drafts[name] = {}
    table.insert(names, name)
  end
end
local values = ask(names, function(...) return redis.call('MGET', ...) end)
local expiries = ask(names, function(...) return redis.call('ZMSCORE', '${EXPIRING}', ...) end)
for at, expires in ipairs(expiries) do
  local key, value = drafts[names[at]], values[at]
  key.kind = (expires or value) and 'string' or redis.call('TYPE', names[at]).ok
  key.value, key.stored, key.expires, key.expired = value, key.kind, expires, expires
  if key.kind == 'set' then
    key.count, key.members, key.keeps = redis.call('SCARD', names[at]), {}, true
  end
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

function apply.add(key, _, amount)
  if key.expires or key.kind ~= 'string' and key.kind ~= 'none' then return false end
  local total = sum(key.kind == 'none' and '0' or key.value, amount)
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
  local key = drafts[name]
  if not apply[op](key, name, write[3], write[4]) then
    local kind = key.kind == 'none' and 'nothing' or 'a ' .. key.kind
    return { 'refused', number - 1, key.expires and 'a string that expires' or kind }
  end
end

if #found == 0 then redis.call('SET', '${FORMAT}', '${FORMAT_VERSION}', 'NX') end
redis.call('ZADD', '${TASKS}', 0, commit.task)
redis.call('DEL', offsets)
call('HSET', offsets, commit.to)

local state, order = '${STATE}' .. commit.task, '${ORDER}' .. commit.task
call('HSET', state, commit.state)
call('HDEL', state, commit.removed)
call('ZREM', order, commit.removed)
local ordered = {}
for at = 1, #commit.state, 2 do
  table.insert(ordered, 0)
  table.insert(ordered, commit.state[at])
end
call('ZADD', order, ordered)

local served, unserved, expiring, lasting = {}, {}, {}, {}
for _, name in ipairs(names) do
  local key = drafts[name]
  if key.kind == 'string' then
    if key.expires then
      redis.call('SET', name, key.value, 'PXAT', key.expires)
      table.insert(expiring, key.expires)
      table.insert(expiring, name)
    else
      redis.call('SET', name, key.value)
    end
  else
    if not key.keeps and key.stored ~= 'none' then redis.call('UNLINK', name) end
    for member, isIn in pairs(key.members or {}) do
      redis.call(isIn and 'SADD' or 'SREM', name, member)
    end
  end
  if key.expired and not key.expires then table.insert(lasting, name) end
  if key.kind == 'none' then
    table.insert(unserved, name)
  elseif key.stored == 'none' then
    table.insert(served, 0)
    table.insert(served, name)
  end
end
call('ZADD', '${EXPIRING}', expiring)
call('ZREM', '${EXPIRING}', lasting)
call('ZADD', '${SERVED}', served)
call('ZREM', '${SERVED}', unserved)

if #ARGV > 1 then
  for at = 2, #ARGV do redis.call('RPUSH', '${OUTGOING}' .. commit.task, ARGV[at]) end
  redis.call('INCRBY', '${SEQUENCE}' .. commit.task, #ARGV - 1)
end
return 'applied'
`);

/**
 * The script's arguments: JSON, as Redis limits their number, and then the outgoing chunks. Numbers
 * go as text, since those of Lua would be printed with 17 digits. `served` is what stands for the
 * commit's.
 */
export function commitArguments(
  { task, from, to, state, outgoing }: Commit,
  served: readonly ServedWrite[],
): readonly [string, ...Buffer[]] {
  const last = [...new Map(state)];
  const commit = JSON.stringify({
    task,
    from: Object.fromEntries(offsetsAsText(from)),
    to: offsetsAsText(to).flat(),
    state: last.filter(([, value]) => value !== undefined).flat(),
    removed: last.filter(([, value]) => value === undefined).map(([key]) => key),
    served: served.map(servedArgument),
  });
  const chunks = outgoing.map((chunk) => Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  return [commit, ...chunks];
}

function servedArgument(write: ServedWrite): readonly string[] {
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
}

function offsetsAsText(offsets: TaskOffsets): [name: string, offset: string][] {
  return Object.entries(offsets).map(([name, offset]) => [name, String(offset)]);
}

/** Redis takes whole milliseconds after 1970, and would fail at any other amid the script. */
function time(ms: number): string {
  return String(Math.min(Math.max(1, Math.ceil(ms)), Number.MAX_SAFE_INTEGER));
}
