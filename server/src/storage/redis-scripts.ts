/**
 * What the Redis adapter keeps, and the scripts that read and change it.
 *
 *   room:<room>            hash: last seq; of the snapshot its seq, size, CRC-32,
 *                          state vector, deletes, and seq and time, which an instance of an
 *                          earlier version leaves as they were; life, generation, and whether
 *                          it is deleted
 *   rooms                  sorted set of all names, all with score 0, so that it is one by bytes
 *   log:<room>             stream: <seq>-0 → update, author, CRC-32 over both
 *   snapshot:<seq>:<room>  the snapshot's bytes
 *   quarantine:<room>      hash: seq → record (record.ts)
 *   merge:<room>           what is remembered of merging it, as JSON
 *   writer:<id>            hash: a storage object's last batch and its seqs
 *   instances              hash: instance → its heartbeat, and until when that counts
 *   staged:<id>            a snapshot on its way in, in parts; runs out by itself
 *
 * Invariants: whatever changes a room is one script, which checks before its first
 * write; Redis carries out one at a time, so the order of seqs is that of commits.
 * A batch's number and seqs are kept by the script that writes it: a batch that is
 * tried again, and an earlier attempt that Redis comes to late, write nothing more.
 * A room's name comes last in a key, so no room reaches another's keys. Whatever makes
 * a room's hash puts its name into `rooms`, where it stays as the hash does.
 */
import { Script } from '../redis.js';

/** Of a log whose room's hash is gone: its last seq. */
const LAST_OF = `
local function lastOf(log)
  local info = redis.call('XINFO', 'STREAM', log)
  for n = 1, #info, 2 do
    if info[n] == 'last-generated-id' then return string.match(info[n + 1], '^%d+') end
  end
end`;

/**
 * Keys: the writer's, that of all names, then each room's hash and log. Arguments: the
 * batch's number, seconds to remember it, then for each room its name, its life, how many entries, and of each entry
 * update, author and CRC. Answers the first seq of each room, 0 where it was removed. A room
 * that lost its hash to eviction is marked, and goes on: the batch's other rooms must not wait.
 */
export const APPEND = new Script(`
${LAST_OF}
local number = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'number', 'seqs')
if known[1] then
  if tonumber(known[1]) == number then return known[2] end
  if tonumber(known[1]) > number then
    return redis.error_reply('OLDBATCH batch ' .. ARGV[1] .. ' comes after batch ' .. known[1])
  end
end

local firsts = {}
local at = 3
for i = 3, #KEYS, 2 do
  local head = redis.call('HMGET', KEYS[i], 'last', 'life', 'deleted')
  local last = head[1]
  if not last and redis.call('EXISTS', KEYS[i + 1]) == 1 then
    last = lastOf(KEYS[i + 1])
    redis.call('HSET', KEYS[i], 'lost', 1)
  end
  if not head[1] then redis.call('ZADD', KEYS[2], 0, ARGV[at]) end
  local isRemoved = head[3] or tonumber(head[2] or 0) > tonumber(ARGV[at + 1])
  firsts[#firsts + 1] = isRemoved and '0' or string.format('%.0f', (last or 0) + 1)
  at = at + 3 + 3 * ARGV[at + 2]
end

at = 3
for room = 1, #firsts do
  local hash, log = KEYS[2 * room + 1], KEYS[2 * room + 2]
  local seq = tonumber(firsts[room])
  local behind = at + 3 + 3 * ARGV[at + 2]
  if seq > 0 then
    for entry = at + 3, behind - 1, 3 do
      redis.call('XADD', log, string.format('%.0f-0', seq),
        'update', ARGV[entry], 'author', ARGV[entry + 1], 'crc', ARGV[entry + 2])
      seq = seq + 1
    end
    redis.call('HSET', hash, 'last', string.format('%.0f', seq - 1))
  end
  at = behind
end

local seqs = table.concat(firsts, ',')
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'seqs', seqs)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return seqs
`);

/**
 * Keys: the room's hash and log. Arguments: the seq behind which to read, and how
 * many bytes are enough. Answers what the room's hash holds, whether there may be
 * more, and the entries.
 */
export const READ = new Script(`
local head = redis.call('HMGET', KEYS[1], 'last', 'lost', 'seq', 'size', 'vector', 'deletes',
  'life', 'at', 'generation', 'deleted')
if not head[1] and redis.call('EXISTS', KEYS[2]) == 1 then head[2] = '1' end
for i = 1, 10 do head[i] = head[i] or '' end
local from = tonumber(ARGV[1])
local enough = tonumber(ARGV[2])
local rows, bytes, count = {}, 0, 4
while true do
  local start = string.format('%.0f-0', from + 1)
  local page = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', count)
  for _, row in ipairs(page) do
    rows[#rows + 1] = row
    bytes = bytes + #row[2][2] + 100
  end
  if #page < count then return {head, 0, rows} end
  if bytes >= enough then return {head, 1, rows} end
  from = tonumber(string.match(page[#page][1], '^%d+'))
  count = math.max(1, math.min(2 * count, math.floor((enough - bytes) / (bytes / #rows))))
end
`);

/**
 * Keys: the room's hash, log and quarantine, the staged bytes, where the bytes of base
 * and snapshot lie, and that of all names. Arguments: the room's name, base, then the snapshot's seq, size, CRC,
 * state vector, deletes, time, and generation or nothing, then seq and record of each that is set aside.
 */
export const COMPACT = new Script(`
local hash, log, quarantine, staged, old, new, names = unpack(KEYS)
local head = redis.call('HMGET', hash, 'last', 'seq')
if tonumber(head[2] or 0) ~= tonumber(ARGV[2]) then
  redis.call('UNLINK', staged)
  return 0
end
if redis.call('STRLEN', staged) ~= tonumber(ARGV[4]) then
  return redis.error_reply('NOTSTAGED the bytes of the snapshot are not there')
end
redis.call('UNLINK', old)
redis.call('RENAME', staged, new)
redis.call('PERSIST', new)
redis.call('ZADD', names, 0, ARGV[1])
redis.call('HSET', hash, 'seq', ARGV[3], 'size', ARGV[4], 'crc', ARGV[5],
  'vector', ARGV[6], 'deletes', ARGV[7], 'at', ARGV[3] .. ':' .. ARGV[8])
redis.call('HDEL', hash, 'lost')
if ARGV[9] ~= '' then redis.call('HSET', hash, 'generation', ARGV[9]) end
local seq = tonumber(ARGV[3])
if tonumber(head[1] or 0) < seq then redis.call('HSET', hash, 'last', ARGV[3]) end
redis.call('XTRIM', log, 'MINID', string.format('%.0f-0', seq + 1))
for i = 10, #ARGV, 2 do redis.call('HSET', quarantine, ARGV[i], ARGV[i + 1]) end
return 1
`);

/**
 * A room that is removed, revived or replaced: nothing but this is in it from now on, in another life.
 *
 * Keys: the room's hash, log, quarantine and merge, that of all names, and the staged bytes of
 * a snapshot. Arguments: what stands before the seq in the key of its snapshot, the room's name, what is done, then the
 * snapshot's size, CRC, state vector and deletes, the time, and the generation. Answers the life, 0
 * where that would change nothing.
 */
export const RENEW = new Script(`
${LAST_OF}
local hash, log, quarantine, merge, names, staged = unpack(KEYS)
local before, behind = ARGV[1], ':' .. ARGV[2]
local head = redis.call('HMGET', hash, 'last', 'seq', 'deleted')
if (ARGV[3] == 'revive') ~= (head[3] and true or false) then
  redis.call('UNLINK', staged)
  return 0
end
if redis.call('STRLEN', staged) ~= tonumber(ARGV[4]) then
  return redis.error_reply('NOTSTAGED the bytes of the snapshot are not there')
end
local last = head[1]
if not last and redis.call('EXISTS', log) == 1 then last = lastOf(log) end
local life = string.format('%.0f', (last or 0) + 1)
if head[2] then redis.call('UNLINK', before .. head[2] .. behind) end
redis.call('UNLINK', hash, log, quarantine, merge)
redis.call('ZADD', names, 0, ARGV[2])
redis.call('RENAME', staged, before .. life .. behind)
redis.call('PERSIST', before .. life .. behind)
redis.call('HSET', hash, 'last', life, 'seq', life, 'size', ARGV[4], 'crc', ARGV[5],
  'vector', ARGV[6], 'deletes', ARGV[7], 'life', life, 'generation', ARGV[9], 'at', life .. ':' .. ARGV[8])
if ARGV[3] == 'remove' then redis.call('HSET', hash, 'deleted', 1) end
return life
`);

/**
 * Key: that of all instances. Arguments: the instance, what it notes of itself, and for how many
 * milliseconds. Answers instance and note of each other one. Redis's own clock counts.
 */
export const HEARTBEAT = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local others = {}
for i = 1, #all, 2 do
  local till, note = string.match(all[i + 1], '^(%d+) (.*)$')
  if tonumber(till) < now then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others[#others + 1] = all[i]
    others[#others + 1] = note
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + ARGV[3]) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return others
`);
