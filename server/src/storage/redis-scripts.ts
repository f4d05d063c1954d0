/**
 * What the Redis adapter keeps, and the scripts that read and change it.
 *
 *   room:<room>            hash: last seq; of the snapshot its seq, size, CRC-32,
 *                          state vector and deletes
 *   log:<room>             stream: <seq>-0 → update, author, CRC-32 over both
 *   snapshot:<seq>:<room>  the snapshot's bytes
 *   quarantine:<room>      hash: seq → record (record.ts)
 *   writer:<id>            hash: a storage object's last batch and its seqs
 *   staged:<id>            a snapshot on its way in, in parts; runs out by itself
 *
 * Invariants: whatever changes a room is one script, which checks before its first
 * write; Redis carries out one at a time, so the order of seqs is that of commits.
 * A batch's number and seqs are kept by the script that writes it: a batch that is
 * tried again, and an earlier attempt that Redis comes to late, write nothing more.
 * A room's name comes last in a key, so no room reaches another's keys.
 */
import { Script } from '../redis.js';

/**
 * Keys: the writer's, then each room's hash and log. Arguments: the batch's number,
 * seconds to remember it, then for each room how many entries, and of each entry
 * update, author and CRC. Answers the first seq of each room. A room that lost its
 * hash to eviction is marked, and goes on: the batch's other rooms must not wait.
 */
export const APPEND = new Script(`
local number = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'number', 'seqs')
if known[1] then
  if tonumber(known[1]) == number then return known[2] end
  if tonumber(known[1]) > number then
    return redis.error_reply('OLDBATCH batch ' .. ARGV[1] .. ' comes after batch ' .. known[1])
  end
end

local firsts = {}
for i = 2, #KEYS, 2 do
  local last = redis.call('HGET', KEYS[i], 'last')
  if not last and redis.call('EXISTS', KEYS[i + 1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[i + 1])
    for n = 1, #info, 2 do
      if info[n] == 'last-generated-id' then last = string.match(info[n + 1], '^%d+') end
    end
    redis.call('HSET', KEYS[i], 'lost', 1)
  end
  firsts[#firsts + 1] = string.format('%.0f', (last or 0) + 1)
end

local at = 3
for room = 1, #firsts do
  local hash, log = KEYS[2 * room], KEYS[2 * room + 1]
  local seq = tonumber(firsts[room])
  for entry = 1, tonumber(ARGV[at]) do
    redis.call('XADD', log, string.format('%.0f-0', seq),
      'update', ARGV[at + 1], 'author', ARGV[at + 2], 'crc', ARGV[at + 3])
    at = at + 3
    seq = seq + 1
  end
  at = at + 1
  redis.call('HSET', hash, 'last', string.format('%.0f', seq - 1))
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
local head = redis.call('HMGET', KEYS[1], 'last', 'lost', 'seq', 'size', 'vector', 'deletes')
if not head[1] and redis.call('EXISTS', KEYS[2]) == 1 then head[2] = '1' end
for i = 1, 6 do head[i] = head[i] or '' end
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
 * Keys: the room's hash, log and quarantine, the staged bytes, and where the bytes
 * of base and snapshot lie. Arguments: base, then the snapshot's seq, size, CRC,
 * state vector and deletes, then seq and record of each that is set aside.
 */
export const COMPACT = new Script(`
local hash, log, quarantine, staged, old, new = unpack(KEYS)
local head = redis.call('HMGET', hash, 'last', 'seq')
if tonumber(head[2] or 0) ~= tonumber(ARGV[1]) then
  redis.call('UNLINK', staged)
  return 0
end
if redis.call('STRLEN', staged) ~= tonumber(ARGV[3]) then
  return redis.error_reply('NOTSTAGED the bytes of the snapshot are not there')
end
redis.call('UNLINK', old)
redis.call('RENAME', staged, new)
redis.call('PERSIST', new)
redis.call('HSET', hash, 'seq', ARGV[2], 'size', ARGV[3], 'crc', ARGV[4],
  'vector', ARGV[5], 'deletes', ARGV[6])
redis.call('HDEL', hash, 'lost')
local seq = tonumber(ARGV[2])
if tonumber(head[1] or 0) < seq then redis.call('HSET', hash, 'last', ARGV[2]) end
redis.call('XTRIM', log, 'MINID', string.format('%.0f-0', seq + 1))
for i = 7, #ARGV, 2 do redis.call('HSET', quarantine, ARGV[i], ARGV[i + 1]) end
return 1
`);

/** Keys: the room's hash, log and quarantine. Arguments: what stands before and behind the seq in the key of its snapshot. */
export const REMOVE = new Script(`
local seq = redis.call('HGET', KEYS[1], 'seq')
if seq then redis.call('UNLINK', ARGV[1] .. seq .. ARGV[2]) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
`);
