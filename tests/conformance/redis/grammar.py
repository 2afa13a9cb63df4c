"""Random Redis commands from a seed.

Each line of COMMANDS is a shape: words in capitals are literal, words in small letters name a kind of argument,
[ ] is optional, ( )+ repeats one to four times, | separates alternatives inside brackets.
"""

import hashlib
import re

COMMANDS = """
SET key value [NX|XX|NX GET|XX GET|GET] [EX seconds|PX ms|EXAT unix|PXAT unixms|KEEPTTL]
GET key
GETSET key value
GETDEL key
GETEX key [EX seconds|PX ms|EXAT unix|PXAT unixms|PERSIST]
SETNX key value
SETEX key seconds value
PSETEX key ms value
APPEND key value
STRLEN key
SETRANGE key offset value
GETRANGE key index index
SUBSTR key index index
INCR key
DECR key
INCRBY key int
DECRBY key int
INCRBYFLOAT key float
MGET (key)+
MSET (key value)+
MSETNX (key value)+
LCS key key [LEN|IDX|IDX WITHMATCHLEN|IDX MINMATCHLEN count]
LPUSH key (value)+
RPUSH key (value)+
LPUSHX key (value)+
RPUSHX key (value)+
LPOP key [count]
RPOP key [count]
LLEN key
LINDEX key index
LSET key index value
LRANGE key index index
LREM key index value
LTRIM key index index
LINSERT key [BEFORE|AFTER] value value
LPOS key value [RANK index] [COUNT count] [MAXLEN count]
RPOPLPUSH key key
LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)
LMPOP 2 key key (LEFT|RIGHT) [COUNT count]
LMPOP count key (LEFT|RIGHT)
BLPOP key key brief
BRPOP key brief
BLMOVE key key (LEFT|RIGHT) (LEFT|RIGHT) brief
BLMPOP brief 2 key key (LEFT|RIGHT) [COUNT count]
BRPOPLPUSH key key brief
HSET key (field value)+
HMSET key (field value)+
HSETNX key field value
HGET key field
HMGET key (field)+
HGETALL key
HDEL key (field)+
HLEN key
HKEYS key
HVALS key
HEXISTS key field
HSTRLEN key field
HINCRBY key field int
HINCRBYFLOAT key field float
HRANDFIELD key [count|count WITHVALUES]
HSCAN key 0 COUNT 100000
SADD key (member)+
SREM key (member)+
SISMEMBER key member
SMISMEMBER key (member)+
SCARD key
SMEMBERS key
SMOVE key key member
SPOP key 1000000
SRANDMEMBER key [count]
SINTER (key)+
SUNION (key)+
SDIFF (key)+
SINTERSTORE key (key)+
SUNIONSTORE key (key)+
SDIFFSTORE key (key)+
SINTERCARD 2 key key [LIMIT count]
SINTERCARD count key
SSCAN key 0 COUNT 100000
ZADD key [NX|XX] [GT|LT] [CH] [INCR] (score member)+
ZADD same (0 member)+
ZINCRBY key score member
ZREM key (member)+
ZSCORE key member
ZMSCORE key (member)+
ZCARD key
ZRANK key member [WITHSCORE]
ZREVRANK key member [WITHSCORE]
ZCOUNT key bound bound
ZLEXCOUNT same lex lex
ZRANGE key index index [REV] [WITHSCORES]
ZRANGE key bound bound BYSCORE [REV] [LIMIT index index] [WITHSCORES]
ZRANGE same lex lex BYLEX [REV] [LIMIT index index]
ZRANGESTORE key key index index [REV]
ZRANGESTORE key same lex lex BYLEX [LIMIT index index]
SET same value
RPUSH same value
DEL same
ZRANGESTORE key key bound bound BYSCORE [LIMIT index index]
ZREVRANGE key index index [WITHSCORES]
ZRANGEBYSCORE key bound bound [WITHSCORES] [LIMIT index index]
ZREVRANGEBYSCORE key bound bound [WITHSCORES] [LIMIT index index]
ZRANGEBYLEX same lex lex [LIMIT index index]
ZREVRANGEBYLEX same lex lex [LIMIT index index]
ZREMRANGEBYRANK key index index
ZREMRANGEBYSCORE key bound bound
ZREMRANGEBYLEX same lex lex
ZPOPMIN key [count]
ZPOPMAX key [count]
ZMPOP 2 key key (MIN|MAX) [COUNT count]
BZPOPMIN key key brief
BZPOPMAX key brief
BZMPOP brief 1 key (MIN|MAX) [COUNT count]
ZUNION 2 key key [WEIGHTS float float] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
ZINTER 2 key key [WEIGHTS float float] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
ZDIFF 2 key key [WITHSCORES]
ZUNIONSTORE key 2 key key [WEIGHTS float float] [AGGREGATE (SUM|MIN|MAX)]
ZINTERSTORE key 2 key key [WEIGHTS float float] [AGGREGATE (SUM|MIN|MAX)]
ZDIFFSTORE key 2 key key
ZINTERCARD 2 key key [LIMIT count]
ZRANDMEMBER key [count|count WITHSCORES]
ZSCAN key 0 COUNT 100000
DEL (key)+
UNLINK (key)+
EXISTS (key)+
TOUCH (key)+
TYPE key
RENAME key key
RENAMENX key key
COPY key key [DB database] [REPLACE]
MOVE key database
EXPIRE key seconds [NX|XX|GT|LT|NX GT]
PEXPIRE key ms [NX|XX|GT|LT]
EXPIREAT key unix [NX|XX|GT|LT]
PEXPIREAT key unixms [NX|XX|GT|LT|GT LT]
TTL key
PTTL key
EXPIRETIME key
PEXPIRETIME key
PERSIST key
KEYS pattern
SCAN 0 COUNT 100000 [MATCH pattern] [TYPE type]
RANDOMKEY
DBSIZE
OBJECT ENCODING key
OBJECT REFCOUNT
SELECT database
SWAPDB database database
ECHO value
PING [value]
WATCH (key)+
UNWATCH
MULTI
EXEC
DISCARD
PUBLISH value value
WAIT (0|1|-1|x) (1|2|x|-1)
COMMAND GETKEYS SORT key BY value STORE key
CLIENT KILL MAXAGE (0|-5|x)
SETBIT key bit (0|1|2|x)
GETBIT key bit
BITCOUNT key [index|index index|index index (BYTE|BIT)]
BITPOS key (0|1|2) [index|index index|index index (BYTE|BIT)]
BITOP (AND|OR|XOR) key (key)+
BITOP NOT key key [key]
BITFIELD key (GET width bit|SET width bit wide|INCRBY width bit wide|OVERFLOW (WRAP|SAT|FAIL|x))+
BITFIELD_RO key (GET width bit)+
GEOADD geo [NX|XX] [CH] (longitude latitude member)+
GEOADD key (longitude latitude member)+
GEOPOS geo (member)+
GEOHASH geo (member)+
GEODIST geo member member [unit]
GEOSEARCH geo FROMLONLAT longitude latitude (BYRADIUS size unit|BYBOX size size unit) (ASC|DESC) [COUNT count] [WITHDIST] [WITHCOORD] [WITHHASH]
GEOSEARCH geo FROMMEMBER member (BYRADIUS size unit|BYBOX size size unit) [ASC|DESC] [COUNT count ANY] [WITHDIST]
GEOSEARCHSTORE key geo FROMLONLAT longitude latitude (BYRADIUS size unit|BYBOX size size unit) [STOREDIST]
GEORADIUS geo longitude latitude size unit [WITHDIST] [ASC|DESC] [STORE key]
GEORADIUSBYMEMBER geo member size unit [WITHCOORD] [STOREDIST key|STORE key]
GEORADIUS_RO geo longitude latitude size unit [ASC] [COUNT count] [WITHHASH]
GEORADIUSBYMEMBER_RO geo member size unit [STORE key]
GEOPOS key member
GEOSEARCH key FROMLONLAT longitude latitude BYRADIUS size unit
PFADD hll (member)+
PFADD hll
PFADD key (member)+
PFCOUNT (hll)+
PFCOUNT key
PFMERGE hll (hll)+
PFMERGE key (hll)+
GET hll
SORT key [LIMIT index index] [ASC|DESC] [ALPHA] [STORE key]
SORT key BY (w*|h*->f1|h*) [GET pattern|GET # GET w*|GET h*->f1] [LIMIT index index] [DESC]
SORT key BY nosort [GET #]
SORT_RO key [LIMIT index index] [DESC] [ALPHA]
SET (wa|wb|w1|w2|w99999999999) (1|5|-2|2.5|abc)
HSET (ha|hb|h1|h2) f1 (1|7|3|x)
COMMAND GETKEYS MSET (key value)+
CLIENT GETNAME
CLIENT NOSUCH
FLUSHDB rarely
NOSUCHCOMMAND (value)+
"""

# A sequence of its own: among all others, streams would seldom have anything in them.
STREAM_COMMANDS = """
XADD stream id (field value)+
XADD stream id (field value)+
XADD stream id f1 value f2 value
XADD stream id f1 value f2 value
XADD stream [NOMKSTREAM] [(MAXLEN|MINID) [=|~] threshold] [LIMIT count] id f1 value
XLEN stream
XRANGE stream from to [COUNT count]
XREVRANGE stream to from [COUNT count]
XREAD [COUNT count] STREAMS stream after
XREAD [COUNT count] STREAMS stream stream after after
XREAD BLOCK pause STREAMS stream after
XDEL stream (old)+
XTRIM stream (MAXLEN|MINID) [=|~] threshold [LIMIT count]
XSETID stream old [ENTRIESADDED added] [MAXDELETEDID old]
XGROUP CREATE stream group from [MKSTREAM] [ENTRIESREAD added]
XGROUP CREATE stream group 0
XGROUP CREATE stream group $ MKSTREAM
XGROUP SETID stream group from [ENTRIESREAD added]
XGROUP DESTROY stream group
XGROUP CREATECONSUMER stream group consumer
XGROUP DELCONSUMER stream group consumer
XREADGROUP GROUP group consumer [COUNT count] [NOACK] STREAMS stream fresh
XREADGROUP GROUP group consumer COUNT 1 STREAMS stream >
XREADGROUP GROUP group consumer COUNT 3 STREAMS stream >
XREADGROUP GROUP group consumer [COUNT count] STREAMS stream stream fresh fresh
XREADGROUP GROUP group consumer BLOCK pause STREAMS stream >
XACK stream group (old)+
XPENDING stream group
XPENDING stream group [IDLE idle] from to count [consumer]
XCLAIM stream group consumer idle (old)+ [JUSTID] [IDLE idle|TIME 1000] [RETRYCOUNT added] [FORCE] [LASTID old]
XAUTOCLAIM stream group consumer idle from [COUNT count] [JUSTID]
XINFO STREAM stream [FULL] [COUNT count]
XINFO STREAM stream FULL
XINFO GROUPS stream
XINFO CONSUMERS stream group
TYPE stream
OBJECT ENCODING stream
EXPIRE stream 100000
COPY stream stream [REPLACE]
RENAME stream stream
DEL stream
SET stream value
SCAN 0 COUNT 100000 TYPE stream
MULTI
EXEC
WATCH stream
CONFIG SET stream-node-max-entries (0|1|3|100)
CONFIG SET stream-node-max-bytes (0|60|4096)
"""

# What Valkey 8 does not know yet.
LATER_STREAM_COMMANDS = """
XDELEX stream [KEEPREF|DELREF|ACKED] IDS 2 old old
XACKDEL stream group [KEEPREF|DELREF|ACKED] IDS 2 old old
XNACK stream group (SILENT|FAIL|FATAL) IDS 1 old [RETRYCOUNT 3] [FORCE]
XADD stream (DELREF|ACKED) (MAXLEN|MINID) [=|~] threshold id f1 value
XTRIM stream (DELREF|ACKED) (MAXLEN|MINID) [=|~] threshold
XADD stream IDMP (p|q) (1|2|3|4|5|6|7) id f1 value
XADD stream (MAXLEN|MINID) ~ threshold IDMPAUTO (p|q) id f1 value
XCFGSET stream [IDMP-DURATION 300] [IDMP-MAXSIZE (2|5)]
XREADGROUP GROUP group consumer CLAIM (0|500000) COUNT 2 STREAMS stream >
"""

# Hashes whose fields expire, and what else Valkey 8 does not know yet: an original that has no MSETEX is asked for none of it.
LATER_COMMANDS = """
HEXPIRE hash seconds [NX|XX|GT|LT] FIELDS 1 field
HEXPIRE hash seconds [NX|XX|GT|LT] FIELDS 2 field field
HPEXPIRE hash ms [NX|XX|GT|LT] FIELDS (1|2|x) field field
HEXPIREAT hash unix [NX|XX|GT|LT] FIELDS 1 field
HPEXPIREAT hash unixms [NX|XX|GT|LT] FIELDS 2 field field
HPEXPIREAT hash 33177117420000 FIELDS 1 field
HPERSIST hash FIELDS 1 field
HPERSIST hash FIELDS 2 field field
HTTL hash FIELDS 2 field field
HPTTL hash FIELDS (0|1|2) field field
HEXPIRETIME hash FIELDS 2 field field
HPEXPIRETIME hash FIELDS 3 field field field
HGETEX hash [EX seconds|PX ms|EXAT unix|PXAT unixms|PERSIST] FIELDS 2 field field
HSETEX hash [NX|XX] [FNX|FXX] [EX seconds|PX ms|EXAT unix|PXAT unixms|KEEPTTL] FIELDS 1 field value
HSETEX hash [FNX|FXX] [EX seconds|KEEPTTL] FIELDS (1|2) field value field value
HGETDEL hash FIELDS 1 field
HGETDEL hash FIELDS (1|2) field field
HSET hash (field value)+
HSET hash (field value)+
HSETNX hash field value
HINCRBY hash field int
HINCRBYFLOAT hash field float
HGETALL hash
HMGET hash (field)+
HLEN hash
HEXISTS hash field
HSTRLEN hash field
HDEL hash field
HRANDFIELD hash count
HSCAN hash 0 COUNT 100000 [NOVALUES]
COPY hash hash [REPLACE]
RENAME hash hash
OBJECT ENCODING hash
DEL hash
SORT hash
SET key value IFEQ value [GET] [EX seconds|KEEPTTL]
SET hash value IFEQ value
DELIFEQ key value
DELIFEQ hash value
MSETEX 1 key value [NX|XX] [EX seconds|PX ms|EXAT unix|PXAT unixms|KEEPTTL]
MSETEX (1|2|x) key value key value [NX|XX] [EX seconds|KEEPTTL]
GET key
TTL key
EXPIRE hash seconds
MULTI
EXEC
CONFIG SET hash-max-listpack-entries (0|2|512)
"""

# A command that a script sends, or a function, and what becomes of its reply on the way. Of the commands those whose reply is
# the same whoever asks; the names of the libraries are words of their own.
SCRIPT_COMMANDS = """
EVAL body 1 key command
EVAL body 1 key command
EVAL body 1 key command
EVAL_RO body 1 key command
EVALSHA sum 1 key command
EVALSHA_RO sum 0 command
FCALL function 1 key command
FCALL_RO function 1 key command
FCALL function count command
SCRIPT LOAD body
SCRIPT EXISTS sum sum
SCRIPT FLUSH [SYNC|ASYNC|NOW]
FUNCTION LOAD [REPLACE] library
FUNCTION LOAD REPLACE library
FUNCTION LIST
FUNCTION LIST LIBRARYNAME (one|t*|none) [WITHCODE]
FUNCTION DELETE (one|two|none)
FUNCTION FLUSH rarely
MULTI
EXEC
WATCH key
"""

BODIES = [
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.call(unpack(ARGV))",
    "redis.setresp(3) return {redis.pcall(unpack(ARGV)), redis.pcall('GET', KEYS[1])}",
    "#!lua flags=no-writes\nreturn redis.pcall(unpack(ARGV))",
    "#!lua flags=allow-oom,no-cluster\nreturn {type(redis.pcall(unpack(ARGV))), #ARGV}",
    "local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and not r.err and not r.ok then return cjson.encode(r) end return r",
    "local r = redis.pcall(unpack(ARGV)) if type(r) == 'string' then return {#r, cmsgpack.unpack(cmsgpack.pack(r))} end return r",
    "return {redis.pcall(unpack(ARGV)), tonumber(ARGV[#ARGV]), redis.sha1hex(ARGV[1])}",
    "redis.call('SET', KEYS[1], 'from a script') return redis.call(unpack(ARGV))",
    "return nosuch(ARGV)",
]
LIBRARIES = [
    "#!lua name=one\nredis.register_function('f', function(keys, args) return redis.call(unpack(args)) end)",
    "#!lua name=two\nredis.register_function{function_name='ro', flags={'no-writes'}, callback=function(k, a) return redis.pcall(unpack(a)) end}",
    "#!lua name=two\nredis.register_function{function_name='three', callback=function(k, a) redis.setresp(3) return {redis.pcall(unpack(a))} end}",
    "#!lua name=bad\nreturn 1",
    "#!lua\nreturn 1",
]

CHOICES = {
    "body": BODIES,
    "sum": [hashlib.sha1(body.encode()).hexdigest() for body in BODIES] + ["x", "0" * 40],
    "library": LIBRARIES,
    "function": ["f", "f", "ro", "three", "none"],
    "hash": ["h1", "h1", "h1", "h2", "h3"],
    "stream": ["s1", "s1", "s1", "s2", "s2", "s3"],
    "id": [*(f"{n}-{m}" for n in (1, 2, 3) for m in (1, 2)), *(f"{n}-*" for n in range(1, 30)), "0-0", "0-*", "x", "1-x", "18446744073709551615-*", "5", "7-18446744073709551615", "9-007", "4-+1"],
    "old": [*(f"{n}-{m}" for n in range(1, 25) for m in (0, 0, 1, 2)), "-", "+", "0-0", "7-18446744073709551615", "x", "40-1"],
    "from": ["-", "-", "-", "0", "3", "5-1", "(5-0", "(3", "12-0", "(+", "$", "x", "("],
    "to": ["+", "+", "+", "20", "9-0", "(9-0", "(0-0", "x", "-"],
    "after": ["0", "0-0", "5", "9-0", "14-0", "$", "+", ">", "x", "18446744073709551615-18446744073709551615"],
    "fresh": [">", ">", ">", "0", "3-0", "12", "$", "+", "x"],
    "threshold": ["0", "1", "2", "3", "5", "10", "-1", "x", "4-0", "8-1", "12"],
    "group": ["g1", "g1", "g2", "g\r\n3"],
    "consumer": ["alice", "bob", "Bob", "carol", ""],
    "idle": ["0", "0", "0", "-1", "500000", "x"],
    "added": ["0", "1", "5", "30", "-1", "-2", "x"],
    "pause": ["1", "2", "-1", "x"],
    "key": ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"],
    "geo": ["g1", "g2"],
    "longitude": ["13.361389", "15.087269", "-180", "180", "0", "-0.5", "181", "x", "2.5", "13.37", "-122.4"],
    "latitude": ["38.115556", "37.502669", "85.05112878", "-85.05112878", "0", "90", "nan", "1.25", "38.2", "37.7"],
    "size": ["0", "1", "100", "250.5", "10000", "-1", "x", "1e7", "inf"],
    "unit": ["m", "km", "ft", "mi", "KM", "x"],
    "hll": ["l1", "l2", "l3"],
    "same": ["z1", "z2", "z3"],
    "field": ["f1", "f2", "f3", "1", "", "F" * 70],
    "member": ["a", "b", "c", "d", "1", "2", "3", "-7", "99999999999", "", "m" * 70, "ab", "A"],
    "value": ["v", "10", "-3", "0", "", "1.5", "abc", "x" * 44, "y" * 45, "z" * 70, "9223372036854775807", "\x00\xff\r\n", "ohmytext", "w" * 300],
    "int": ["1", "-1", "5", "100", "9223372036854775807", "-9223372036854775808", "x", "1.5", " 1", "0"],
    "float": ["1", "0.1", "-2.5", "3.0e3", "1e-7", "inf", "-inf", "nan", "x", "0", "1e300", "123456789.123"],
    "score": ["1", "0", "-1", "2.5", "1e10", "inf", "-inf", "nan", "x", "3.0", "0.1", "1e-10", "100", "123456789012345678", "1.7976931348623157e308"],
    "index": ["0", "1", "-1", "2", "-2", "5", "-100", "100", "x", "9223372036854775807", "-9223372036854775808"],
    "offset": ["0", "1", "5", "40", "100", "-1", "536870912", "x"],
    "bit": ["0", "1", "7", "8", "63", "100", "#0", "#3", "-1", "x", "4294967296"],
    "width": ["u1", "i1", "u8", "i8", "u13", "i17", "u63", "i64", "u64", "i65", "i0", "x"],
    "wide": ["0", "1", "-1", "127", "200", "-300", "9223372036854775807", "-9223372036854775808", "x"],
    "count": ["0", "1", "2", "3", "-1", "-2", "10", "-5", "x", "-9223372036854775808"],
    "bound": ["0", "1", "(1", "-inf", "+inf", "(0.1", "2.5", "(", "x", "100", "-1"],
    "lex": ["-", "+", "[a", "(a", "[c", "(c", "b", "[", "("],
    "seconds": ["100", "1000", "100000", "0", "-1", "x", "9223372036854775807"],
    "ms": ["100000", "5000000", "0", "-1", "x", "9223372036854775807"],
    "unix": ["33177117420", "33177117430", "1", "x", "0", "-1"],
    "unixms": ["33177117420000", "33177117420001", "1", "x"],
    "brief": ["0.001", "0.002", "-1", "x"],
    "database": ["0", "1", "2", "16", "-1", "x"],
    "pattern": ["*", "k*", "k[1-3]", "?2", "k\\1", "[^k]*", "none"],
    "type": ["string", "list", "hash", "set", "zset", "stream", "nosuch"],
    "rarely": ["SYNC", "ASYNC", "NOSUCH"],
}  # fmt: skip


def parse(text):
    """A shape as a tree: a word, or ("seq" | "alt" | "opt" | "rep", parts)."""
    tokens = re.findall(r"\[|\]|\(|\)\+|\)|\||[^\s\[\]()|]+", text)
    position = 0

    def alternatives():
        nonlocal position
        options, current = [], []
        while position < len(tokens):
            token = tokens[position]
            if token in ("]", ")", ")+"):
                break
            position += 1
            if token == "|":
                options.append(("seq", current))
                current = []
            elif token in "[(":
                inner = alternatives()
                closing = tokens[position]
                position += 1
                current.append(("opt" if closing == "]" else "rep" if closing == ")+" else "alt", inner))
            else:
                current.append(token)
        options.append(("seq", current))
        return options

    return ("alt", alternatives())


SHAPES = [parse(line) for line in COMMANDS.strip().splitlines()]
STREAM_SHAPES = [parse(line) for line in STREAM_COMMANDS.strip().splitlines()]
LATER_SHAPES = [parse(line) for line in LATER_COMMANDS.strip().splitlines()]
SCRIPT_SHAPES = [parse(line) for line in SCRIPT_COMMANDS.strip().splitlines()]
LATER_STREAM_SHAPES = [parse(line) for line in LATER_STREAM_COMMANDS.strip().splitlines()]
UNLIKE = {
    "SMEMBERS", "SINTER", "SUNION", "SDIFF", "KEYS", "HKEYS", "HVALS", "HGETALL", "SPOP", "SCAN", "SSCAN", "HSCAN", "ZSCAN", "SRANDMEMBER",
    "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "SWAPDB", "FLUSHDB", "MULTI", "EXEC", "WAIT",
    "GETEX", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO", "GEOSEARCH",
}  # fmt: skip
RARE = {"FLUSHDB", "SWAPDB", "SELECT", "MOVE", "NOSUCHCOMMAND"}


def expand(random, node):
    if isinstance(node, str):
        return [random.choice(CHOICES[node])] if node in CHOICES else [node]
    kind, parts = node
    if kind == "seq":
        return [word for part in parts for word in expand(random, part)]
    if kind == "alt":
        return expand(random, random.choice(parts))
    if kind == "opt":
        return expand(random, random.choice(parts)) if random.random() < 0.4 else []
    return [word for _ in range(random.randint(1, 4)) for word in expand(random, random.choice(parts))]


def spoil(random, words):
    """What a careless client sends: an argument too many, too few, or misplaced."""
    words = list(words)
    choice = random.randrange(4)
    if choice == 0 and len(words) > 1:
        words.pop()
    elif choice == 1:
        words.append(random.choice(["extra", "1", "NX", "WITHSCORES", "COUNT"]))
    elif choice == 2 and len(words) > 2:
        words[random.randrange(1, len(words))] = random.choice(["", "x", "-1", "k1"])
    else:
        words[0] = "".join(random.choice((c.lower(), c.upper())) for c in words[0])
    return words


def bulk(random):
    """Many members at once, so that the compact encodings are left."""
    key, count = random.choice(CHOICES["key"]), random.choice([20, 130, 140, 520])
    numbers = range(random.randrange(50), 50 + count)
    return random.choice(
        [
            ["SADD", key, *[str(n) for n in numbers]],
            ["SADD", key, *[f"m{n}" for n in numbers]],
            ["HSET", key, *[word for n in numbers for word in (f"f{n}", str(n))]],
            ["ZADD", key, *[word for n in numbers for word in (str(n % 7), f"m{n}")]],
            ["RPUSH", key, *["x" * random.choice([1, 100]) for n in numbers]],
        ]
    )


def command(random):
    if random.random() < 0.01:
        return bulk(random)
    while True:
        words = expand(random, random.choice(SHAPES))
        if words[0] not in RARE or random.random() < 0.1:
            break
    return spoil(random, words) if random.random() < 0.05 else words


def stream_sequence(random, count, shapes=STREAM_SHAPES):
    """The same of streams; what hides them (DEL, SET, the small nodes' settings) comes seldom."""
    steps = []
    while len(steps) < count:
        words = expand(random, random.choice(shapes))
        if words[0][0] != "X" and random.random() < 0.8:
            continue
        if words[:2] == ["XGROUP", "DESTROY"] and random.random() < 0.7:
            continue
        if words[0] != "CONFIG" and random.random() < 0.03:
            words = spoil(random, words)
        steps.append((0 if random.random() < 0.9 else 1, words))
    return steps


def later_sequence(random, count):
    """Of hashes whose fields expire and of other late-comers; what takes the hashes away comes seldom."""
    steps = []
    while len(steps) < count:
        words = expand(random, random.choice(LATER_SHAPES))
        if words[0] in ("DEL", "RENAME", "SET", "CONFIG", "MULTI") and random.random() < 0.7:
            continue
        if words[0] != "CONFIG" and random.random() < 0.03:
            words = spoil(random, words)
        steps.append((0 if random.random() < 0.9 else 1, words))
    return steps


def told_alike(words):
    """Whether a script may send it: neither order nor chance nor the clock is in its reply, and it waits for nothing."""
    return words[0] not in UNLIKE and not words[0].startswith("B") and not {"nosort", "SCAN", "GETKEYS", "ANY"} & set(words)


def script_sequence(random, count):
    """Scripts and functions that send random commands."""
    steps = []
    while len(steps) < count:
        shape = random.choice(SCRIPT_SHAPES)
        words = []
        for word in expand(random, shape):
            if word == "command":
                inner = command(random)
                while not told_alike(inner):
                    inner = command(random)
                words += inner
            else:
                words.append(word)
        if words[0] in ("FUNCTION", "SCRIPT") and words[1] in ("FLUSH", "DELETE") and random.random() < 0.8:
            continue
        steps.append((0 if random.random() < 0.9 else 1, words))
    return steps


def sequence(random, count):
    """[(connection, words)]: what is sent, in order, over two connections."""
    steps = []
    while len(steps) < count:
        connection = 0 if random.random() < 0.8 else 1
        if random.random() < 0.02:  # whole transactions, which chance alone seldom makes
            inner = [command(random) for _ in range(random.randint(1, 6))]
            inner = [words for words in inner if words[0] not in ("MULTI", "EXEC", "DISCARD")]
            steps += [(connection, words) for words in ([["MULTI"]] + inner + [["EXEC"]])]
        else:
            steps.append((connection, command(random)))
    return steps
