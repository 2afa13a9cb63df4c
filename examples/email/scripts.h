/* scripts.h: the steps that Redis runs as one. Those with KAFKA.PRODUCE need Trivet; the others run on any
 * Redis. Each has the same effect twice as once, for store_run() sends a command again when it lost the
 * reply. Each tries KAFKA.PRODUCE before its first write: were the record refused, the script would end there
 * with nothing done. */
#pragma once

/* KEYS once, rate, email; ARGV id, once s, now ms, window ms, rate max, keep s, topic, to, record.
 * {queued, id}, {duplicate, first id} or {limited, ms until a place is free} */
#define SCRIPT_ACCEPT                                                                                                  \
    "local first = redis.call('GET', KEYS[1])\n"                                                                       \
    "if first == ARGV[1] then return {'queued', first} end\n"                                                          \
    "if first then return {'duplicate', first} end\n"                                                                  \
    "local floor = ARGV[3] - ARGV[4]\n"                                                                                \
    "if redis.call('ZCOUNT', KEYS[2], '(' .. floor, '+inf') >= tonumber(ARGV[5]) then\n"                               \
    "  local oldest = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. floor, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)\n"       \
    "  return {'limited', string.format('%d', oldest[2] - floor)}\n"                                                   \
    "end\n"                                                                                                            \
    "redis.call('KAFKA.PRODUCE', ARGV[7], 'KEY', ARGV[8], 'HEADER', 'id', ARGV[1], ARGV[9])\n"                         \
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])\n"                                                             \
    "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', floor)\n"                                                         \
    "redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])\n"                                                                  \
    "redis.call('PEXPIRE', KEYS[2], ARGV[4])\n"                                                                        \
    "redis.call('HSET', KEYS[3], 'status', 'queued', 'to', ARGV[8])\n"                                                 \
    "redis.call('EXPIRE', KEYS[3], ARGV[6])\n"                                                                         \
    "return {'queued', ARGV[1]}\n"

/* For portable mode, after SET NX: KEYS rate, email; ARGV id, now ms, window ms, rate max, keep s, to. As
 * above. */
#define SCRIPT_ADMIT                                                                                                   \
    "if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {'queued', ARGV[1]} end\n"                                  \
    "local floor = ARGV[2] - ARGV[3]\n"                                                                                \
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', floor)\n"                                                         \
    "if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then\n"                                                      \
    "  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')\n"                                             \
    "  return {'limited', string.format('%d', oldest[2] - floor)}\n"                                                   \
    "end\n"                                                                                                            \
    "redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])\n"                                                                  \
    "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"                                                                        \
    "redis.call('HSET', KEYS[2], 'status', 'queued', 'to', ARGV[6])\n"                                                 \
    "redis.call('EXPIRE', KEYS[2], ARGV[5])\n"                                                                         \
    "return {'queued', ARGV[1]}\n"

/* Takes back what an email left that was not queued. The record may be in the topic all the same, its acknowledgement lost:
 * what a worker has noted of it stays, or the worker would not know the email again. KEYS once, rate, email; ARGV id */
#define SCRIPT_RELEASE                                                                                                 \
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end\n"                                   \
    "redis.call('ZREM', KEYS[2], ARGV[1])\n"                                                                           \
    "local status = redis.call('HGET', KEYS[3], 'status')\n"                                                           \
    "if status ~= 'queued' or redis.call('HEXISTS', KEYS[3], 'attempts') == 1 then return 0 end\n"                     \
    "return redis.call('DEL', KEYS[3])\n"

/* The worker's guard. KEYS email, lease; ARGV worker, lease ms.
 * {done, 0}, {busy, ms left} or {yours, attempts so far} */
#define SCRIPT_CLAIM                                                                                                   \
    "local status = redis.call('HGET', KEYS[1], 'status')\n"                                                           \
    "if status == 'sent' or status == 'failed' then return {'done', '0'} end\n"                                        \
    "local owner = redis.call('GET', KEYS[2])\n"                                                                       \
    "if owner and owner ~= ARGV[1] then return {'busy', tostring(redis.call('PTTL', KEYS[2]))} end\n"                  \
    "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])\n"                                                             \
    "return {'yours', redis.call('HGET', KEYS[1], 'attempts') or '0'}\n"

/* The three ends below write down how a record ended and, in the same step, that the worker's group is past it. Their first
 * ARGV are group, topic, partition and next offset; no group in portable mode, where the worker commits after the step. They
 * return 1, or 0 when that end was written down before. */

/* KEYS email, lease, ledger; ARGV position (4), id, keep s, attempts, ledger entries kept */
#define SCRIPT_SENT                                                                                                    \
    "if redis.call('HGET', KEYS[1], 'status') == 'sent' then return 0 end\n"                                           \
    "if ARGV[1] ~= '' then redis.call('KAFKA.COMMIT', ARGV[1], ARGV[2], ARGV[3], ARGV[4]) end\n"                       \
    "redis.call('HSET', KEYS[1], 'status', 'sent', 'attempts', ARGV[7])\n"                                             \
    "redis.call('HDEL', KEYS[1], 'error')\n"                                                                           \
    "redis.call('EXPIRE', KEYS[1], ARGV[6])\n"                                                                         \
    "redis.call('LPUSH', KEYS[3], ARGV[5])\n"                                                                          \
    "redis.call('LTRIM', KEYS[3], 0, ARGV[8] - 1)\n"                                                                   \
    "redis.call('DEL', KEYS[2])\n"                                                                                     \
    "return 1\n"

/* KEYS email, lease, retries; ARGV position (4), record, due ms, attempts, error */
#define SCRIPT_LATER                                                                                                   \
    "if ARGV[1] ~= '' then redis.call('KAFKA.COMMIT', ARGV[1], ARGV[2], ARGV[3], ARGV[4]) end\n"                       \
    "redis.call('HSET', KEYS[1], 'status', 'queued', 'attempts', ARGV[7], 'error', ARGV[8])\n"                         \
    "redis.call('ZADD', KEYS[3], ARGV[6], ARGV[5])\n"                                                                  \
    "redis.call('DEL', KEYS[2])\n"                                                                                     \
    "return 1\n"

/* KEYS email, lease; ARGV position (4), id, error, attempts, keep s, dead-letter topic or '' when the record is there
 * already, record */
#define SCRIPT_FAILED                                                                                                  \
    "if redis.call('HGET', KEYS[1], 'status') == 'failed' then return 0 end\n"                                         \
    "if ARGV[9] ~= '' then\n"                                                                                          \
    "  redis.call('KAFKA.PRODUCE', ARGV[9], 'KEY', ARGV[5], 'HEADER', 'reason', ARGV[6], ARGV[10])\n"                  \
    "end\n"                                                                                                            \
    "if ARGV[1] ~= '' then redis.call('KAFKA.COMMIT', ARGV[1], ARGV[2], ARGV[3], ARGV[4]) end\n"                       \
    "redis.call('HSET', KEYS[1], 'status', 'failed', 'attempts', ARGV[7], 'error', ARGV[6])\n"                         \
    "redis.call('EXPIRE', KEYS[1], ARGV[8])\n"                                                                         \
    "redis.call('DEL', KEYS[2])\n"                                                                                     \
    "return 1\n"

/* KEYS retries; ARGV now ms, retry topic, how many at most. The number of records that became due. */
#define SCRIPT_SWEEP                                                                                                   \
    "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])\n"                         \
    "for _, record in ipairs(due) do\n"                                                                                \
    "  redis.call('KAFKA.PRODUCE', ARGV[2], record)\n"                                                                 \
    "  redis.call('ZREM', KEYS[1], record)\n"                                                                          \
    "end\n"                                                                                                            \
    "return #due\n"
