"""Random changes to a few keys of every type, alone, in transactions and in scripts."""

import json

TYPES = ("str", "list", "set", "zset", "hash")


def one_command(draw):
    kind = draw.choice(TYPES)
    key, other = f"{kind}{draw.randrange(6)}", f"{kind}{draw.randrange(6)}"
    word, number = f"w{draw.randrange(8)}", draw.randrange(100)
    far = 9_000_000_000_000 + number
    any_key = f"{draw.choice(TYPES)}{draw.randrange(6)}"
    choices = {
        "str": [["SET", key, word], ["SET", key, number, "PXAT", far], ["APPEND", key, word], ["GETDEL", key],
                ["SETRANGE", key, number, word], ["MSET", key, 1, other, 2], ["SETBIT", key, number, 1],
                ["BITOP", "XOR", key, key, other], ["INCRBYFLOAT", "str9", "0.5"], ["INCR", "str8"]],
        "list": [["RPUSH", key, word, number], ["LPOP", key], ["LMOVE", key, other, "LEFT", "RIGHT"], ["LTRIM", key, 0, 9],
                 ["RPOPLPUSH", key, other], ["LINSERT", key, "BEFORE", word, number], ["LMPOP", 2, key, other, "RIGHT"],
                 ["SORT", key, "ALPHA", "STORE", other], ["LSET", key, 0, word], ["LREM", key, 0, word]],
        "set": [["SADD", key, word, number], ["SREM", key, word], ["SPOP", key], ["SMOVE", key, other, word],
                ["SUNIONSTORE", key, key, other], ["SDIFFSTORE", other, key, other], ["SPOP", key, 2]],
        "zset": [["ZADD", key, number, word], ["ZINCRBY", key, number, word], ["ZREM", key, word], ["ZPOPMIN", key],
                 ["ZUNIONSTORE", other, 2, key, other], ["ZRANGESTORE", other, key, 0, 2], ["ZMPOP", 1, key, "MAX"]],
        "hash": [["HSET", key, word, number], ["HDEL", key, word], ["HINCRBY", key, f"n{word}", number],
                 ["HINCRBYFLOAT", key, f"n{word}", "0.25"], ["HSETNX", key, word, "x"]],
    }  # fmt: skip
    general = [["DEL", key, other], ["RENAME", key, other], ["COPY", key, other, "REPLACE"], ["PEXPIREAT", key, far],
               ["PERSIST", key], ["MOVE", key, 3], ["COPY", key, other, "DB", 3, "REPLACE"], ["UNLINK", any_key],
               ["PEXPIRE", key, 1], ["SWAPDB", 0, 3]]  # fmt: skip
    if draw.random() < 0.004:
        return ["FLUSHDB"]
    return draw.choice(general if draw.random() < 0.2 else choices[kind])


def random_commands(draw):
    """One step: some of it fails, as it does in life."""
    commands = [one_command(draw) for _ in range(draw.choice((1, 1, 1, 4)))]
    way = draw.random()
    if way < 0.2:
        return [["MULTI"], *commands, ["EXEC"]]
    if way < 0.4:
        return [["EVAL", "for i = 1, #ARGV do redis.pcall(unpack(cjson.decode(ARGV[i]))) end", 0, *map(as_json, commands)]]
    return commands


def as_json(words):
    return json.dumps([str(word) for word in words])
