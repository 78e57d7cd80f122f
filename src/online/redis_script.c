/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The scripts, in Lua 5.1 without libraries, so that every server that speaks Redis runs them.
 *
 * Lua's numbers are doubles: seconds and nanoseconds are compared apart, since one number of
 * nanoseconds would lose digits. Seconds of years 1 to 9999 are exact; before 1970 they are varints
 * of ten bytes, whose bits are turned around first so that no large number is ever made.
 *
 *   time_of   a protobuf Timestamp: members 1 (tag 8) and 2 (tag 16), none of them if zero
 *   int_of    an integer of our pair, little endian
 *   created   of the row that is there, if its pair goes with its event time: Feast knows nothing
 *             of pairs, so behind its back one goes stale
 *
 * Values are compared only on an equal pair: a row that is there already is not written again.
 * HSET gets 1,000 fields at a time, as Lua's stack has an end; a script is atomic all the same.
 *
 * A change of the text changes its SHA-1: `printf TEXT | sha1sum`, or what SCRIPT LOAD answers;
 * tests/unit/test_online_redis_script.c says so when they part.
 */

#include "online/redis_script.h"

#include "base/poison.h"

const char TFN__REDIS_WRITE_SCRIPT[] =
    "local function time_of(bytes)\n"
    "  local part, at = {[8] = 0, [16] = 0}, 1\n"
    "  while at <= #bytes do\n"
    "    local tag, value, turned, scale, n, byte = string.byte(bytes, at), 0, 0, 1, 0\n"
    "    repeat\n"
    "      at, n = at + 1, n + 1\n"
    "      byte = string.byte(bytes, at)\n"
    "      if not byte or n > 10 or not part[tag] then return nil end\n"
    "      if n < 10 then\n"
    "        value = value + byte % 128 * scale\n"
    "        turned = turned + (127 - byte % 128) * scale\n"
    "        scale = scale * 128\n"
    "      end\n"
    "    until byte < 128\n"
    "    part[tag] = n < 10 and value or -turned - 1\n"
    "    at = at + 1\n"
    "  end\n"
    "  return part[8], part[16]\n"
    "end\n"
    "local function int_of(bytes, first, last)\n"
    "  local value, turned, scale = 0, 0, 1\n"
    "  for at = first, last do\n"
    "    local byte = string.byte(bytes, at)\n"
    "    value, turned = value + byte * scale, turned + (255 - byte) * scale\n"
    "    scale = scale * 256\n"
    "  end\n"
    "  return string.byte(bytes, last) < 128 and value or -turned - 1\n"
    "end\n"
    "local function created_of(pair, seconds, nanos)\n"
    "  if not pair or #pair ~= 25 or string.byte(pair, 1) ~= 1 or\n"
    "    int_of(pair, 2, 9) ~= seconds or int_of(pair, 10, 13) ~= nanos then\n"
    "    return -math.huge, 0\n"
    "  end\n"
    "  return int_of(pair, 14, 21), int_of(pair, 22, 25)\n"
    "end\n"
    "local key, pair_field, first, last = KEYS[1], ARGV[2], 3, #ARGV\n"
    "local old = redis.call('HMGET', key, ARGV[3], pair_field)\n"
    "local has_pair = ARGV[last - 1] == pair_field\n"
    "local function compare()\n"
    "  local s, n = time_of(ARGV[4])\n"
    "  local os, on = time_of(old[1])\n"
    "  if not os then return nil end\n"
    "  if s ~= os then return s - os end\n"
    "  if n ~= on then return n - on end\n"
    "  local cs, cn = created_of(has_pair and ARGV[last], s, n)\n"
    "  local ocs, ocn = created_of(old[2], os, on)\n"
    "  if cs ~= ocs then return cs > ocs and 1 or -1 end\n"
    "  return cn - ocn\n"
    "end\n"
    "local function is_same()\n"
    "  local stop = has_pair and last - 2 or last\n"
    "  for from = 5, stop, 2000 do\n"
    "    local fields = {}\n"
    "    for at = from, math.min(from + 1999, stop), 2 do fields[#fields + 1] = ARGV[at] end\n"
    "    local values = redis.call('HMGET', key, unpack(fields))\n"
    "    for i, value in ipairs(values) do\n"
    "      if value ~= ARGV[from + 2 * i - 1] then return false end\n"
    "    end\n"
    "  end\n"
    "  return true\n"
    "end\n"
    "if old[1] then\n"
    "  local order = compare()\n"
    "  if not order then\n"
    "    return redis.error_reply('ERR ' .. ARGV[3] .. ' holds no event time')\n"
    "  end\n"
    "  if order < 0 then return 1 end\n"
    "  if order == 0 and is_same() then return 2 end\n"
    "end\n"
    "for at = first, last, 2000 do\n"
    "  redis.call('HSET', key, unpack(ARGV, at, math.min(at + 1999, last)))\n"
    "end\n"
    "if old[2] and not has_pair then redis.call('HDEL', key, pair_field) end\n"
    "if ARGV[1] ~= '0' then redis.call('EXPIRE', key, ARGV[1]) end\n"
    "return 0\n";

const char TFN__REDIS_WRITE_SHA1[] = "4172597cb3236809ba96bc93b3a5a2fc3765722b";

const char TFN__REDIS_DELETE_SCRIPT[] =
    "local was_there = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1\n"
    "for at = 1, #ARGV, 2000 do\n"
    "  redis.call('HDEL', KEYS[1], unpack(ARGV, at, math.min(at + 1999, #ARGV)))\n"
    "end\n"
    "return was_there and 3 or 4\n";

const char TFN__REDIS_DROP_SCRIPT[] =
    "local n = 0\n"
    "for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
    "  if #field > 4 and string.sub(field, 1, 4) == '_ts:' then n = n + 1 end\n"
    "end\n"
    "redis.call('UNLINK', KEYS[1])\n"
    "return n\n";
