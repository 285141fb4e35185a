-- One write of the views: all of it, or nothing and the reason.
--
-- KEYS: the hash, the stream, total, completed, failed, last event
-- ARGV: generation, grid tick that the hash must hold, id of the last entry of the stream (both
--       empty: write everything anew), tick that the hash will have, most entries of the stream;
--       then three lists, each after its length: fields and values, fields that are gone, entries
--       (id, then names and values, after their number); then the four numbers, if there are any.
--
-- Answers 'done', 'lost' (Redis does not hold what we wrote last), or 'taken <generation>'.

local hash, stream = KEYS[1], KEYS[2]
local generation, base, top = ARGV[1], ARGV[2], ARGV[3]

local held = redis.call('HMGET', hash, 'generation', 'tick')
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
last = last[1] and last[1][1] or ''
-- Either may have been deleted alone.
local newest = math.max(tonumber(held[1] or 0) or 0, tonumber(string.match(last, '^%d+') or 0))
if newest > tonumber(generation) then return 'taken ' .. string.format('%d', newest) end

if base == '' then
  -- A write that was long on its way must not undo a later one.
  if held[1] == generation and (tonumber(held[2] or 0) or 0) > tonumber(ARGV[4]) then
    return 'lost'
  end
  redis.call('DEL', hash, stream)
elseif held[1] ~= generation or held[2] ~= base or last ~= top then
  return 'lost'
end

local at = 6
-- Calls with the next list, in parts that fit on the stack of Lua.
local function list(command, key)
  local first, past = at + 1, at + 1 + tonumber(ARGV[at])
  while first < past do
    local part = math.min(first + 4000, past)
    redis.call(command, key, unpack(ARGV, first, part - 1))
    first = part
  end
  at = past
end
list('HSET', hash)
list('HDEL', hash)

local entries = tonumber(ARGV[at])
at = at + 1
for _ = 1, entries do
  local id, n = ARGV[at], tonumber(ARGV[at + 1])
  redis.call('XADD', stream, 'MAXLEN', '~', ARGV[5], id, unpack(ARGV, at + 2, at + 1 + n))
  at = at + 2 + n
end

for key = 3, 6 do
  local value = ARGV[at + key - 3]
  if value and value ~= '' then redis.call('SET', KEYS[key], value) end
end
return 'done'
