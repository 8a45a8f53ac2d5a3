-- A payment moved. KEYS[1] is its cached view, a hash. ARGV: seq, how long a mark lives in milliseconds, the channel,
-- the message. Leaves a mark without a body where there is nothing newer, and tells who listens.
local kind = redis.call('TYPE', KEYS[1]).ok
local seq = kind == 'hash' and tonumber(redis.call('HGET', KEYS[1], 'seq')) or nil
if not (seq and seq >= tonumber(ARGV[1])) then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'seq', ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('PUBLISH', ARGV[3], ARGV[4])
