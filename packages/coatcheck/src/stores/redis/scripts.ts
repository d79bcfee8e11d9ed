/**
 * The scripts that run on the server, one purpose each. Every one touches keys of a single slot, so that a Cluster runs
 * them unchanged. What has ended in an index is judged by the server's clock, which is the one that expires the records.
 *
 * A record's layout is told in `record.ts`, an index's in `user-index.ts`. What is compared is unpacked first: Lua
 * compares text by the server's locale.
 */

const FOREIGN = `
local function foreign() return redis.error_reply('COATCHECK_FOREIGN') end
`

/** The fields of a record that scripts look at; nil for what we did not write. */
const FIELDS = `${FOREIGN}
local function fields(text)
  if #text < 22 or string.sub(text, 1, 2) ~= 'c\\2' then return nil end
  return {
    seen = struct.unpack('>I6', text, 3),
    version = struct.unpack('>I4', text, 9),
    generation = string.sub(text, 13, 20),
    user = string.sub(text, 23, 22 + string.byte(text, 22)),
  }
end
`

/**
 * Save and rotate by compare-and-set. Another person's name is written only when asked for: the caller first has to look
 * at that person's epoch, which is in another slot.
 *
 * KEYS: record, and the generation where it is on the same node. ARGV: the new record, when to forget it (ms), '1' to
 * let the person change, and the generation as it was a moment ago where it is on another node. Returns 'saved' |
 * 'prolonged' (saved, and it ends later than it did) | 'repeated' (this very write had landed before) | 'conflict' |
 * 'gone' | 'renames' (nothing was written; ask again with '1').
 */
export const REPLACE = `${FIELDS}
local function ends(text)
  local at = 23 + string.byte(text, 22) + 32 + 6
  return (struct.unpack(string.byte(text, 21) >= 128 and '>d' or '>I6', text, at))
end
local old = redis.call('GET', KEYS[1])
if not old then return 'gone' end
local was, is = fields(old), fields(ARGV[1])
if not was then return foreign() end
local live = ARGV[4]
if KEYS[2] then live = redis.call('GET', KEYS[2]) end
if live ~= was.generation then return 'gone' end
if string.sub(old, 9) == string.sub(ARGV[1], 9) then return 'repeated' end
if was.version ~= is.version - 1 or was.generation ~= is.generation then return 'conflict' end
if was.user ~= is.user and ARGV[3] ~= '1' then return 'renames' end
local text = ARGV[1]
if was.seen > is.seen then text = string.sub(text, 1, 2) .. string.sub(old, 3, 8) .. string.sub(text, 9) end
local left = redis.call('PTTL', KEYS[1])
redis.call('SET', KEYS[1], text, 'PXAT', ARGV[2])
if left > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], left) end
return ends(ARGV[1]) > ends(old) and 'prolonged' or 'saved'
`

/**
 * Raises the last use in place, without reading the data.
 *
 * KEYS: record. ARGV: seen (6 bytes), when to forget it (ms). Returns 1 if raised.
 */
export const TOUCH = `
local head = redis.call('GETRANGE', KEYS[1], 0, 7)
if #head < 8 or string.sub(head, 1, 2) ~= 'c\\2' then return 0 end
if struct.unpack('>I6', head, 3) >= struct.unpack('>I6', ARGV[1]) then return 0 end
redis.call('SETRANGE', KEYS[1], 2, ARGV[1])
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
local old = redis.call('GETRANGE', KEYS[1], 0, 276)
if old == '' then return false end
local was = fields(old)
if not was then return foreign() end
if ARGV[1] == '1' and was.user ~= ARGV[2] then return false end
redis.call('DEL', KEYS[1])
return {was.user, was.generation}
`

/** What scripts do with a person's index: where its entries begin (after the epoch), and which of them to keep. */
const INDEX = `${FOREIGN}
local SIZE = 19
local function first(index)
  local from = ({ i = 2, e = 13 })[string.sub(index, 1, 1)]
  if from and (#index + 1 - from) % SIZE == 0 then return from end
end
local function kept(index, from, keeps)
  local entries = {}
  for at = from, #index, SIZE do
    local entry = string.sub(index, at, at + SIZE - 1)
    if keeps(entry) then entries[#entries + 1] = entry end
  end
  return table.concat(entries)
end
local function keepFor(ms)
  if redis.call('PTTL', KEYS[1]) < ms then redis.call('PEXPIRE', KEYS[1], ms) end
end
`

const CLOCK = `
local HOUR = 3600000
local now = redis.call('TIME')[1] * 1000
`

/**
 * Files a record under its person, unless their sessions were ended since the login began; again, where it has come to
 * end later. Entries that ended for good are dropped on the way; of a long index only at every 64th, so that its length is
 * no burden to a login. So are four others' of the same bucket, if nothing in them is alive: nobody else would ever clean
 * up after who does not come back.
 *
 * KEYS: bucket. ARGV: person, id (16 bytes), the login's epoch or '*' for what has begun already, the hour in which the
 * record ends for good (3 bytes), the same in milliseconds. Returns 1 if filed, 0 if the epoch is another.
 */
export const FILE = `${INDEX}${CLOCK}
local before = math.ceil(now / HOUR) - 1
local function lives(entry) return struct.unpack('>I3', entry, 17) >= before end
local old = redis.call('HGET', KEYS[1], ARGV[1]) or 'i'
local from = first(old)
if not from then return foreign() end
if ARGV[3] ~= '*' and string.sub(old, 2, math.min(from - 1, 9)) ~= ARGV[3] then return 0 end
local entries = string.sub(old, from)
local count = #entries / SIZE
if count < 64 or count % 64 == 0 then
  entries = kept(old, from, function(entry) return string.sub(entry, 1, 16) ~= ARGV[2] and lives(entry) end)
end
redis.call('HSET', KEYS[1], ARGV[1], string.sub(old, 1, from - 1) .. entries .. ARGV[2] .. ARGV[4])
keepFor(math.max(ARGV[5] - now, HOUR))
local others = redis.call('HRANDFIELD', KEYS[1], 4, 'WITHVALUES')
for i = 1, #others, 2 do
  local index = others[i + 1]
  local begins = first(index)
  local isMarked = begins == 13 and struct.unpack('>I3', index, 10) >= before
  if begins and not isMarked and kept(index, begins, lives) == '' then redis.call('HDEL', KEYS[1], others[i]) end
end
return 1
`

/**
 * Takes ids out of a person's index.
 *
 * KEYS: bucket. ARGV: person, ids of 16 bytes. Returns 1 if there was an index.
 */
export const UNFILE = `${INDEX}
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old then return 0 end
local from = first(old)
if not from then return foreign() end
local out = {}
for i = 2, #ARGV do out[ARGV[i]] = true end
local entries = kept(old, from, function(entry) return not out[string.sub(entry, 1, 16)] end)
if entries == '' and from == 2 then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], string.sub(old, 1, from - 1) .. entries)
return 1
`

/**
 * Ends every login of a person that is under way, and tells which records there are to delete.
 *
 * KEYS: bucket. ARGV: person, the new epoch, for how long to keep it (ms). Returns the index.
 */
export const REVOKE = `${INDEX}${CLOCK}
local old = redis.call('HGET', KEYS[1], ARGV[1]) or 'i'
local from = first(old)
if not from then return foreign() end
local index = 'e' .. ARGV[2] .. struct.pack('>I3', math.ceil(now / HOUR)) .. string.sub(old, from)
redis.call('HSET', KEYS[1], ARGV[1], index)
keepFor(tonumber(ARGV[3]))
return index
`

/**
 * Takes one record over into a new generation; where the generation is at hand, which it is not on a Cluster, sets that too, so
 * that nobody sees the one without the other.
 *
 * KEYS: record, the generation or none. ARGV: the new generation, the old one if it is not at hand. Returns 1 if there was one
 * to take.
 */
export const CARRY_OVER = `${FIELDS}
local generation = ARGV[2]
if KEYS[2] then generation = redis.call('SET', KEYS[2], ARGV[1], 'GET') end
local old = redis.call('GET', KEYS[1])
if not old then return 0 end
local was = fields(old)
if not was then return foreign() end
if was.generation ~= generation then return 0 end
local version = struct.pack('>I4', was.version + 1)
redis.call('SET', KEYS[1], string.sub(old, 1, 8) .. version .. ARGV[1] .. string.sub(old, 21), 'KEEPTTL')
return 1
`
