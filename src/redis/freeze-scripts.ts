// What runs inside the server to copy a store as it stands, each script as one step.

/**
 * KEYS: the holder, then pairs: each key of the store, and its copy; the first pair is the hash. ARGV: token, holder, its
 * milliseconds, those of the copies. Returns how many copies a run that died had left, which are gone now.
 */
export const FREEZE = `
if redis.call('HGET', KEYS[3], 'frozen') == ARGV[1] then return {'OK', 0} end
local held = redis.call('GET', KEYS[1])
if held then return {'LOCKED', held, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
local left = 0
for k = 3, #KEYS, 2 do left = left + redis.call('UNLINK', KEYS[k]) end
for k = 2, #KEYS, 2 do
  if redis.call('COPY', KEYS[k], KEYS[k + 1]) == 1 then redis.call('PEXPIRE', KEYS[k + 1], ARGV[4]) end
end
redis.call('HSET', KEYS[3], 'frozen', ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {'OK', left}
`;

/** KEYS: the holder, the copies, the hash first. ARGV: token, holder, its milliseconds, those of the copies. */
export const KEEP_FROZEN = `
if redis.call('HGET', KEYS[2], 'frozen') ~= ARGV[1] then return {'GONE'} end
if redis.call('PEXPIRE', KEYS[1], ARGV[3]) == 0 then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
for k = 2, #KEYS do redis.call('PEXPIRE', KEYS[k], ARGV[4]) end
return {'OK'}
`;

/** KEYS: the holder, the copies, the hash first. ARGV: token. Those of another run stay. */
export const THAW = `
if redis.call('HGET', KEYS[2], 'frozen') == ARGV[1] then redis.call('UNLINK', unpack(KEYS)) end
return {'OK'}
`;
