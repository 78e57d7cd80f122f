-- wrk sends what a file holds: whole requests, each behind its length (u32, little endian), in turn.
--
--   wrk ... -s wrk_requests.lua URL -- FILE
--
-- They are made beforehand, so that Lua does no more than hand out a string. At the end one line of JSON says
-- what came back; latencies are of a closed loop (microseconds), for orientation only.

local requests, n, i = {}, 0, 0

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    local bytes, at = file:read("*a"), 1
    file:close()
    while at + 4 <= #bytes do
        local a, b, c, d = bytes:byte(at, at + 3)
        local length = a + b * 256 + c * 65536 + d * 16777216
        n = n + 1
        requests[n] = bytes:sub(at + 4, at + 3 + length)
        at = at + 4 + length
    end
    assert(n > 0, "no request in the file")
end

function request()
    i = i % n + 1
    return requests[i]
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '{"requests": %d, "us": %d, "bytes": %d, "bad": %d, "median": %d, "p99": %d}\n',
        summary.requests, summary.duration, summary.bytes,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
