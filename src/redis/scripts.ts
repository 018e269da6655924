// What runs inside the server, each script as one step that nobody can get between. Every one that writes checks first
// whether its claim still holds, and can be sent again when its answer was lost: it then finds its own work and says so.

/** The first lines of every script that writes. KEYS[1] is the store's hash; ARGV[1] the token of the claim. */
export const FENCE = `
if redis.call('HGET', KEYS[1], 'writer') ~= ARGV[1] then return {'FENCED', redis.call('GET', KEYS[2]) or ''} end
`;

const LAST_ID = `
local function last_id(key)
  if redis.call('EXISTS', key) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then return info[i + 1] end end
end
`;

/** KEYS: hash, lease, then a stream and its staging key a log. One instant of everything that a view needs. */
export const LOOK = lookScript("''");

function lookScript(groups: string): string {
  return `${LAST_ID}
local view = {redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]) or ''}
for k = 3, #KEYS, 2 do
  local key = KEYS[k]
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  local id, bytes = '', 0
  if last then
    id = last[1]
    local fields = last[2]
    if #fields == 2 and fields[1] == 'data' then bytes = #fields[2] else bytes = #table.concat(fields, ' ') + 1 end
  end
  view[#view + 1] = {redis.call('XLEN', key), last_id(key), id, bytes, redis.call('EXISTS', KEYS[k + 1]), ${groups}}
end
return view
`;
}

/**
 * The same, and of each log its consumer groups: name, last id given out, the seq of the first record behind it, and consumers
 * with what they have pending: seq, id, when and how often it was given out.
 */
export const LOOK_WITH_GROUPS = `
local function named(flat) local t = {} for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end return t end
local function seq_of(entry) return entry and entry[2][2] and string.match(entry[2][2], '^{"seq":(%d+),') end
local function ahead_of(key, id)
  while true do
    local page = redis.call('XRANGE', key, '(' .. id, '+', 'COUNT', 20)
    for _, entry in ipairs(page) do if seq_of(entry) then return seq_of(entry) end end
    if #page < 20 then return '' end
    id = page[#page][1]
  end
end
local function groups_of(key)
  if redis.call('EXISTS', key) == 0 then return {} end
  local groups = {}
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local group, consumers = named(flat), {}
    for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', key, group.name)) do
      local consumer, pending = named(one).name, {}
      local now = redis.call('TIME')
      local ms = now[1] * 1000 + math.floor(now[2] / 1000)
      for _, entry in ipairs(redis.call('XPENDING', key, group.name, '-', '+', 10000000, consumer)) do
        local seq = seq_of(redis.call('XRANGE', key, entry[1], entry[1])[1]) or ''
        pending[#pending + 1] = {seq, entry[1], string.format('%.0f', ms - entry[3]), entry[4]}
      end
      consumers[#consumers + 1] = {consumer, pending}
    end
    groups[#groups + 1] = {group.name, group['last-delivered-id'], ahead_of(key, group['last-delivered-id']), consumers}
  end
  return groups
end
${lookScript("groups_of(key)")}`;

/** KEYS: hash, lease. ARGV: token, lease, its milliseconds. */
export const ACQUIRE = `
local held = redis.call('GET', KEYS[2])
if held == ARGV[2] then return {'OK'} end
if held then return {'LOCKED', held, redis.call('PTTL', KEYS[2])} end
redis.call('HSET', KEYS[1], 'writer', ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {'OK'}
`;

/** KEYS: hash, lease. ARGV: token, lease, its milliseconds. Works while the server is out of memory, where SET does not. */
export const RENEW = `${FENCE}
if redis.call('PEXPIRE', KEYS[2], ARGV[3]) == 0 then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
return {'OK'}
`;

/** KEYS: hash, lease. ARGV: token. Whatever of this claim is still on its way is refused from now on. */
export const RELEASE = `
if redis.call('HGET', KEYS[1], 'writer') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'writer')
  redis.call('DEL', KEYS[2])
end
return {'OK'}
`;

/**
 * Compare and append. KEYS: hash, lease, the streams. ARGV: token, lease, its milliseconds, how many fields of the hash to
 * set, their names and values; then for each stream: log, the last id that it must have, the first id as two numbers, the
 * lines as one piece of bytes, the seq that the log then reaches, and how long its active segment then is. Everything is
 * compared before anything is written, so that it is all or nothing. How many entries there are is noted by what was written: where
 * somebody deleted one meanwhile, the stream has fewer, and whoever looks sees that the noted layout is not that of the stream.
 */
export const WRITE = `${FENCE}${LAST_ID}
local call, find, sub, format = redis.call, string.find, string.sub, string.format
local function each_line(bytes, number, offset, key)
  local form, before, size, from, count, id, line = number .. '-%d', offset - 1, #bytes, 1, 0
  while from <= size do
    local eol = find(bytes, '\\n', from, true) or size
    id, line = format(form, before + from), sub(bytes, from, eol)
    if key then call('XADD', key, id, 'data', line) end
    from, count = eol + 1, count + 1
  end
  return id, line, count
end
local fields = tonumber(ARGV[4])
local at = 5 + 2 * fields
local parts, done = {}, 0
for k = 3, #KEYS do
  local number, offset, bytes = ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local last = last_id(KEYS[k])
  if last ~= ARGV[at + 1] then
    local id, line = each_line(bytes, number, offset)
    local stored = call('XRANGE', KEYS[k], id, id)[1]
    if last ~= id or not stored or stored[2][2] ~= line then return {'CONFLICT', KEYS[k], last, ARGV[at + 1]} end
    done = done + 1
  end
  parts[#parts + 1] = {KEYS[k], bytes, ARGV[at], ARGV[at + 5], ARGV[at + 6], number, offset, ARGV[at + 1]}
  at = at + 7
end
if done > 0 and done < #parts then return {'CONFLICT', KEYS[3], 'one log of several', 'all of them'} end
if done > 0 then return {'DUP'} end
for _, part in ipairs(parts) do
  local key, bytes, number, offset = part[1], part[2], part[6], part[7]
  local id, _, written = each_line(bytes, number, offset, key)
  local was, count = string.match(call('HGET', KEYS[1], part[3] .. ':end') or '', '^%d+ (%S+) %d+ (%d+) ')
  local length = was == part[8] and count + written or call('XLEN', key)
  local reached = {part[4], id, part[5], format('%.0f', length), number .. '-' .. format('%.0f', offset + #bytes)}
  call('HSET', KEYS[1], part[3] .. ':end', table.concat(reached, ' '))
end
for i = 0, fields - 1 do redis.call('HSET', KEYS[1], ARGV[5 + 2 * i], ARGV[6 + 2 * i]) end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
return {'OK'}
`;

/** Entries that are there already are passed over; a script does all or nothing, so that without the first one none is. */
const PUT_ENTRY = `
local function there(key, id) return #redis.call('XRANGE', key, id, id) == 1 end
local again = nil
local function put(key, id, ...)
  if again == nil then again = there(key, id) end
  if not again or not there(key, id) then redis.call('XADD', key, id, ...) end
end
`;

/** KEYS: hash, lease, stream, staging. ARGV: token, from, to, count. Returns how many there were, and the last id. */
export const COPY = `${FENCE}${PUT_ENTRY}
local entries = redis.call('XRANGE', KEYS[3], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
for _, entry in ipairs(entries) do put(KEYS[4], entry[1], unpack(entry[2])) end
return {'OK', #entries, #entries > 0 and entries[#entries][1] or ''}
`;

/** KEYS: hash, lease, staging. ARGV: token, then ids and lines. */
export const PUT = `${FENCE}${PUT_ENTRY}
for i = 2, #ARGV, 2 do put(KEYS[3], ARGV[i], 'data', ARGV[i + 1]) end
return {'OK'}
`;

/** KEYS: hash, lease, then keys to remove. ARGV: token. Returns which there were. */
export const DISCARD = `${FENCE}
local gone = {'OK'}
for k = 3, #KEYS do if redis.call('UNLINK', KEYS[k]) == 1 then gone[#gone + 1] = KEYS[k] end end
return gone
`;

/**
 * A stream that was made beside another takes its place. KEYS: hash, lease, stream, staging, the stream as it was. ARGV: token, log,
 * how many entries were staged, the new layout, then
 * - 5 the new end, and 6 the last id that the stream must have and 7 shall have: for who alone writes; or
 * - an empty end, and 6 the last id that was copied, for who writes on meanwhile: what came since is copied here, or MORE is
 *   said when that is much; 8 the layout that must still stand in the hash;
 * - 9 the layout of what is replaced and shall be kept for now, or nothing: then the old stream goes at once;
 * - 10 the newest entry that goes and that a group may have to read, or nothing.
 * The consumer groups go along: their positions, consumers, and what is pending of entries that still exist, with times and
 * delivery counts. Readers that are blocked on the stream keep waiting for the next entry.
 */
export const PUBLISH = `${FENCE}${LAST_ID}
local live, staged, before, log = KEYS[3], KEYS[4], KEYS[5], ARGV[2]
local staging = redis.call('EXISTS', staged) == 1
if not staging and redis.call('HGET', KEYS[1], log) == ARGV[4] then return {'DUP'} end
if (staging and redis.call('XLEN', staged) or 0) ~= tonumber(ARGV[3]) then return {'CONFLICT', staged, '0-0', 'the copy'} end
local last, new_end, new_last = last_id(live), ARGV[5], ARGV[7]
local function named(flat) local t = {} for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end return t end
local function after(a, b)
  local ams, aoff = string.match(a, '(%d+)-(%d+)')
  local bms, boff = string.match(b, '(%d+)-(%d+)')
  if ams ~= bms then return tonumber(ams) > tonumber(bms) end
  return tonumber(aoff) > tonumber(boff)
end
local groups = redis.call('EXISTS', live) == 1 and redis.call('XINFO', 'GROUPS', live) or {}
if ARGV[10] ~= '' then
  for _, flat in ipairs(groups) do
    local group = named(flat)
    if after(ARGV[10], group['last-delivered-id']) then return {'NEEDED', live, group.name, 'has read up to', group['last-delivered-id']} end
    local oldest = redis.call('XPENDING', live, group.name)[2]
    local some = oldest and not after(oldest, ARGV[10])
    for _, pending in ipairs(some and redis.call('XPENDING', live, group.name, '-', ARGV[10], 10000000) or {}) do
      if #redis.call('XRANGE', live, pending[1], pending[1]) == 1 and #redis.call('XRANGE', staged, pending[1], pending[1]) == 0 then
        return {'NEEDED', live, group.name, 'has not acknowledged', pending[1]}
      end
    end
  end
end
if new_end ~= '' then
  if last ~= ARGV[6] then return {'CONFLICT', live, last, ARGV[6]} end
else
  if redis.call('HGET', KEYS[1], log) ~= ARGV[8] then return {'CONFLICT', live, 'another layout', 'the one that was copied'} end
  local since = redis.call('XRANGE', live, '(' .. ARGV[6], '+', 'COUNT', 1001)
  if #since > 1000 then return {'MORE'} end
  for _, entry in ipairs(since) do redis.call('XADD', staged, entry[1], unpack(entry[2])) end
  local noted = redis.call('HGET', KEYS[1], log .. ':end')
  local seq, noted_last, bytes, next_id = string.match(noted, '^(%d+) (%S+) (%d+) %d+ (%S+)$')
  new_end = table.concat({seq, noted_last, bytes, redis.call('XLEN', staged), next_id}, ' ')
  new_last = last
end
for _, flat in ipairs(groups) do
  local group = named(flat)
  redis.call('XGROUP', 'CREATE', staged, group.name, group['last-delivered-id'], 'MKSTREAM')
  for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', live, group.name)) do
    redis.call('XGROUP', 'CREATECONSUMER', staged, group.name, named(one).name)
  end
  local now = redis.call('TIME')
  local ms = now[1] * 1000 + math.floor(now[2] / 1000)
  for _, pending in ipairs(redis.call('XPENDING', live, group.name, '-', '+', 10000000)) do
    redis.call('XCLAIM', staged, group.name, pending[2], 0, pending[1], 'TIME', string.format('%.0f', ms - pending[3]),
      'RETRYCOUNT', pending[4], 'FORCE', 'JUSTID')
  end
end
if redis.call('EXISTS', staged) == 0 then
  redis.call('XADD', staged, new_last, 'data', '')
  redis.call('XDEL', staged, new_last)
end
redis.call('XSETID', staged, new_last)
if ARGV[9] ~= '' then
  redis.call('RENAME', live, before)
  redis.call('HSET', KEYS[1], log .. ':superseded', ARGV[9])
end
redis.call('RENAME', staged, live)
redis.call('HSET', KEYS[1], log, ARGV[4], log .. ':end', new_end)
return {'OK'}
`;

/** KEYS: hash, lease, the stream as it was. ARGV: token, log, the layout of what is still kept of it, or nothing: then it goes. */
export const FORGET = `${FENCE}
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[2] .. ':superseded', ARGV[3])
else
  redis.call('UNLINK', KEYS[3])
  redis.call('HDEL', KEYS[1], ARGV[2] .. ':superseded')
end
return {'OK'}
`;

/**
 * A store that was built aside takes its place. KEYS: its hash and lease; the hash where it shall be; then how many pairs there
 * are: each stream as it was built and where it shall be; then every key that must not be there. ARGV: token, pairs.
 */
export const TAKE_PLACE = `
if redis.call('HGET', KEYS[3], 'restored') == ARGV[1] then return {'DUP'} end
${FENCE}
local behind = 3 + 2 * tonumber(ARGV[2])
for k = behind + 1, #KEYS do if redis.call('EXISTS', KEYS[k]) == 1 then return {'TAKEN', KEYS[k]} end end
for k = 4, behind, 2 do if redis.call('EXISTS', KEYS[k]) == 1 then redis.call('RENAME', KEYS[k], KEYS[k + 1]) end end
redis.call('HDEL', KEYS[1], 'writer')
redis.call('HSET', KEYS[1], 'restored', ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('RENAME', KEYS[1], KEYS[3])
return {'OK'}
`;
