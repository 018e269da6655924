// What runs inside the server for consumer groups, each script as one step. Safe to send again when the answer was lost.
import { FENCE } from "./scripts.ts";

/**
 * Takes pending entries over, and what they hold. KEYS: stream. ARGV: group, consumer, the milliseconds since they were last
 * given out, then ids. Those of the consumer itself are always taken: it asks again when the answer was lost. One that was
 * deleted stays pending as it is (XCLAIM would forget it), and is told with no fields.
 */
export const TAKE = `
local taken = {}
for i = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if pending and (pending[2] == ARGV[2] or pending[3] >= tonumber(ARGV[3])) then
    local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
    local count = pending[4] + 1
    if entry then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'RETRYCOUNT', count, 'JUSTID')
      taken[#taken + 1] = {entry[1], entry[2], count}
    else
      taken[#taken + 1] = {ARGV[i], '', pending[4]}
    end
  end
end
return taken
`;

/** KEYS: stream. ARGV: group, the id it shall stand at, 'drop' if what is pending may be forgotten. */
export const RECREATE = `
if redis.call('EXISTS', KEYS[1]) == 0 then return {'NOSTREAM'} end
local pending = 0
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == ARGV[1] then pending = group.pending end
end
if pending > 0 and ARGV[3] ~= 'drop' then return {'PENDING', pending} end
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2])
return {'OK', pending}
`;

/**
 * Removes consumers that have been idle for so long and have nothing pending: what is pending would be forgotten with them. KEYS:
 * stream. ARGV: group, milliseconds. Returns of each its name, what it has pending, how long it is idle, and whether it went.
 */
export const PRUNE = `
local all = {}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local one = {}
  for i = 1, #flat, 2 do one[flat[i]] = flat[i + 1] end
  local dead = one.pending == 0 and one.idle >= tonumber(ARGV[2])
  if dead then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], one.name) end
  all[#all + 1] = {one.name, one.pending, one.idle, dead and 1 or 0}
end
return all
`;

/**
 * One instant of a stream and its groups. KEYS: stream. Returns nothing where there is none; else how many entries, the last
 * id, the beginnings of the last entries, and of each group: name, last id given out, how much is pending, the beginnings of
 * the first entries that it was not given, and its consumers with what they have pending and how long they are idle.
 */
export const FACTS = `
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local function named(flat) local t = {} for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end return t end
local function beginnings(entries)
  local all = {}
  for _, entry in ipairs(entries) do all[#all + 1] = string.sub(entry[2][2], 1, 200) end
  return all
end
local info = named(redis.call('XINFO', 'STREAM', KEYS[1]))
local groups = {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group, consumers = named(flat), {}
  for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group.name)) do
    local consumer = named(one)
    consumers[#consumers + 1] = {consumer.name, consumer.pending, consumer.idle}
  end
  local id = group['last-delivered-id']
  local ahead = beginnings(redis.call('XRANGE', KEYS[1], '(' .. id, '+', 'COUNT', 10))
  groups[#groups + 1] = {group.name, id, group.pending, ahead, consumers}
end
local newest = beginnings(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 10))
return {info.length, info['last-generated-id'], newest, groups}
`;

/** Makes a group anew. KEYS: hash, lease, stream. ARGV: token, group, the id that it stands at, then its consumers. */
export const MAKE_GROUP = `${FENCE}
redis.call('XGROUP', 'DESTROY', KEYS[3], ARGV[2])
redis.call('XGROUP', 'CREATE', KEYS[3], ARGV[2], ARGV[3])
for i = 4, #ARGV do redis.call('XGROUP', 'CREATECONSUMER', KEYS[3], ARGV[2], ARGV[i]) end
return {'OK'}
`;

/** KEYS: hash, lease, stream. ARGV: token, group, then of each pending entry: consumer, id, when and how often it was given out. */
export const GIVE_OUT = `${FENCE}
for i = 3, #ARGV, 4 do
  redis.call('XCLAIM', KEYS[3], ARGV[2], ARGV[i], 0, ARGV[i + 1], 'TIME', ARGV[i + 2], 'RETRYCOUNT', ARGV[i + 3], 'FORCE', 'JUSTID')
end
return {'OK'}
`;

/** KEYS: stream. ARGV: group, from, to, count. Returns of pending entries their ids, and how their lines begin. */
export const PENDING_LINES = `
local all = {}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])) do
  local entry = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
  all[#all + 1] = {pending[1], entry and string.sub(entry[2][2], 1, 32) or ''}
end
return all
`;
