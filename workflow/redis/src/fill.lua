-- Keeps a view. KEYS[1] is its hash. ARGV: seq, how long it lives in milliseconds, whose it is, the body. Where there is
-- something newer, that stays.
local kind = redis.call('TYPE', KEYS[1]).ok
local seq = kind == 'hash' and tonumber(redis.call('HGET', KEYS[1], 'seq')) or nil
if seq and seq > tonumber(ARGV[1]) then
    return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'seq', ARGV[1], 'merchant', ARGV[3], 'body', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
