-- Draws one request of a key. KEYS[1] holds when the bucket will be empty, in microseconds of this server's clock.
-- ARGV: what a request costs, what the bucket holds. Returns whether there was room, and how full the bucket is.
-- The arithmetic is that of `RateLimit::draw`.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local cost, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local filled = (tonumber(redis.call('GET', KEYS[1])) or now) - now
if not (filled >= 0 and filled <= capacity) then
    filled = 0
end
local after = filled + cost
if after > capacity then
    return {0, filled}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
return {1, after}
