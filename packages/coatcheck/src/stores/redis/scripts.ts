/**
 * The scripts that run on the server, one purpose each. Every one touches keys of a single slot, so that a Cluster runs
 * them unchanged; none depends on the server's clock.
 *
 * A record is `c1`, then fields parted by NUL: seen · version · tokenHash · userId · epoch · generation · … (see
 * `core/record.ts`). `seen` has a fixed place and width, so that text compares like the numbers.
 */

/** The first seven fields of a record; nil for what we did not write. */
const FIELDS = `
local function fields(text)
  if string.sub(text, 1, 3) ~= 'c1\\0' then return nil end
  local found, from = {}, 1
  for i = 1, 7 do
    local to = string.find(text, '\\0', from, true)
    if not to then return nil end
    found[i] = string.sub(text, from, to - 1)
    from = to + 1
  end
  return found
end
local function foreign() return redis.error_reply('COATCHECK_FOREIGN') end
`

/**
 * Save and rotate by compare-and-set. Another person's name is written only when asked for: the caller first has to look
 * at that person's epoch, which is in another slot.
 *
 * KEYS: record, and the generation where it is on the same node. ARGV: the new record, when to forget it (ms), '1' to
 * let the person change. Returns 'saved' | 'repeated' (this very write had landed before) | 'conflict' | 'gone' |
 * 'renames' (nothing was written; ask again with '1'), and the generation that was stored.
 */
export const REPLACE = `${FIELDS}
local old = redis.call('GET', KEYS[1])
if not old then return {'gone'} end
local was, is = fields(old), fields(ARGV[1])
if not was then return foreign() end
if KEYS[2] and redis.call('GET', KEYS[2]) ~= was[7] then return {'gone'} end
if string.sub(old, 14) == string.sub(ARGV[1], 14) then return {'repeated', was[7]} end
if tonumber(was[3]) ~= tonumber(is[3]) - 1 or was[7] ~= is[7] then return {'conflict', was[7]} end
if was[5] ~= is[5] and ARGV[3] ~= '1' then return {'renames', was[7]} end
local text = ARGV[1]
if was[2] > is[2] then text = 'c1\\0' .. was[2] .. string.sub(text, 13) end
local left = redis.call('PTTL', KEYS[1])
redis.call('SET', KEYS[1], text, 'PXAT', ARGV[2])
if left > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], left) end
return {'saved', was[7]}
`

/**
 * Raises the last use in place, without reading the data.
 *
 * KEYS: record. ARGV: seen (9 characters), when to forget it (ms). Returns 1 if raised.
 */
export const TOUCH = `
local head = redis.call('GETRANGE', KEYS[1], 0, 11)
if string.sub(head, 1, 3) ~= 'c1\\0' or string.sub(head, 4, 12) >= ARGV[1] then return 0 end
redis.call('SETRANGE', KEYS[1], 3, ARGV[1])
local left = redis.call('PTTL', KEYS[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
if left > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], left) end
return 1
`

/**
 * Deletes a record, if it is the given person's.
 *
 * KEYS: record. ARGV: '1' to compare the owner or '0', the owner. Returns the owner and the generation, or nil.
 */
export const DELETE = `${FIELDS}
local old = redis.call('GET', KEYS[1])
if not old then return false end
local was = fields(old)
if not was then return foreign() end
if ARGV[1] == '1' and was[5] ~= ARGV[2] then return false end
redis.call('DEL', KEYS[1])
return {was[5], was[7]}
`

/**
 * Files a record under its person, unless their sessions were ended since the login began.
 *
 * KEYS: index, epoch. ARGV: id, the login's epoch, when the record ends for good (ms), before when to clean up (ms).
 * Returns 1 if filed, 0 if the epoch is another.
 */
export const FILE = `
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
if left > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], left) end
return 1
`

/**
 * Ends every login of a person that is under way, and tells which records there are to delete.
 *
 * KEYS: index, epoch. ARGV: the new epoch, how long to keep it (ms). Returns the ids.
 */
export const REVOKE = `
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
`

/**
 * Takes one record over into a new generation.
 *
 * KEYS: record. ARGV: the old generation, the new one. Returns 1 if there was one to take.
 */
export const CARRY_OVER = `${FIELDS}
local old = redis.call('GET', KEYS[1])
if not old then return 0 end
local was = fields(old)
if not was then return foreign() end
if was[7] ~= ARGV[1] then return 0 end
local rest = 1
for i = 1, 7 do rest = string.find(old, '\\0', rest, true) + 1 end
was[3] = tostring(tonumber(was[3]) + 1)
was[7] = ARGV[2]
redis.call('SET', KEYS[1], table.concat(was, '\\0') .. '\\0' .. string.sub(old, rest), 'KEEPTTL')
return 1
`
