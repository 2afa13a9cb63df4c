"""Where Trivet answers otherwise than Valkey 8, and why. Each has a name and a predicate; keep them narrow.

AVOIDED judges a command's words: such a command is not sent at all, because it would leave different keys behind.
EXCEPTIONS judges one exchange, (words, expected, actual), the replies as wire.resp gives them.
"""

import re


def lset_beyond_32_bits(words):
    """The original cuts LSET's index to 32 bits, so that 2^63 - 1 replaces the last element and -2^63 the first.

    We say that it is out of range, as both do for every other index that is."""
    return words[0].upper() == "LSET" and len(words) == 4 and words[2].lstrip("-").startswith("92233720368547758")


def spop_by_lot(words):
    """Which member leaves is chance's. Sets are popped whole instead (SPOP key 1000000)."""
    return words[0].upper() == "SPOP" and len(words) == 2


def lexical_range_over_unequal_scores(words):
    """Ranges by name are defined only where all scores are equal: the keys z1 to z3 are kept so, others not asked."""
    name, lexical = words[0].upper(), ("z1", "z2", "z3")
    if "LEX" in name or "BYLEX" in words:
        source = 2 if name == "ZRANGESTORE" else 1
        return not any(word in lexical for word in words[source : source + 1])
    return name == "ZADD" and len(words) > 1 and words[1] in lexical and set(words[2::2]) != {"0"}


def negative_limit_offset(words):
    """An offset below zero in LIMIT gives nothing, in Redis and in the original's listpacks; the original's skiplists
    count it from the other end by accident."""
    if not words[0].upper().startswith("Z"):
        return False
    return any(a.upper() == "LIMIT" and b.startswith("-") for a, b in zip(words, words[1:]))


AVOIDED = {
    "negative limit offset": negative_limit_offset,
    "lset beyond 32 bits": lset_beyond_32_bits,
    "spop by lot": spop_by_lot,
    "lexical range over unequal scores": lexical_range_over_unequal_scores,
}


def text_of(reply):
    """An error's, a failed EXEC's or one that a script raised."""
    return str(reply[1]) if reply[0] == "-" else ""


def not_inside_a_transaction(words, expected, actual):
    """Since Valkey 9 the error names the command."""
    return re.sub(r"Command '[^']*' not", "Command not", text_of(actual)) == text_of(expected) != ""


def sum_of_the_script(words, expected, actual):
    """Valkey 9.1 leaves it out of an error that a script raised, though it says where it would be."""
    return re.sub(r"script: [0-9a-f]{40}, on", "script: on", text_of(actual)) == text_of(expected) != ""


def command_of_whom(words, expected, actual):
    """Valkey 9.1 calls a command that scripts may not send its own; Valkey 8, Redis and we call it Redis'."""
    return text_of(expected).replace("This Valkey command", "This Redis command") == text_of(actual) != ""


def time_before_key(words, expected, actual):
    """Since Valkey 9 GETEX looks at the time first, and then at the key."""
    wrong = ("ERR invalid expire time in 'getex' command", "ERR value is not an integer or out of range")
    return "GETEX" in map(str.upper, words[:1]) and text_of(actual) in wrong and text_of(expected)[:9] in ("", "WRONGTYPE")


def member_by_name(words, expected, actual):
    """Since Valkey 9 the error names the member."""
    return text_of(expected) == "ERR could not decode requested zset member" and "does not exist" in text_of(actual)


def nothing_to_leave(words, expected, actual):
    """Only Valkey 8 has an error for UNSUBSCRIBE of who subscribed to nothing; before and after it, it is answered."""
    told = actual[1][0][1] if actual[0] in "*>" and actual[1] else b""
    return text_of(expected).startswith("NOSUB ") and told in (b"unsubscribe", b"punsubscribe", b"sunsubscribe")


def last_of_none(words, expected, actual):
    """Since Valkey 9 XREAD of the last entry finds nothing where there never was one."""
    return text_of(expected) == "ERR the stream last element ID is 0-0" and actual[1] is None


def unknown_subcommand_in_a_script(words, expected, actual):
    """Since Valkey 9.1 the error is that of a client."""
    return text_of(expected).startswith("ERR Unknown command called from script") and text_of(actual).startswith("ERR unknown subcommand '")


PROGRESS = r"(b'(?:entries-read|lag)'\), \('.', )[^)]*"


def group_behind_the_first_entry(words, expected, actual):
    """Valkey 8 counts on for a group whose place is before the stream's first entry, and so tells of what was trimmed as of a lag that
    never ends; since 9 it is counted anew. test_streams.py has the figures."""
    return words[0].upper() == "XINFO" and re.sub(PROGRESS, r"\1", repr(expected)) == re.sub(PROGRESS, r"\1", repr(actual))


EXCEPTIONS = {
    "unknown subcommand in a script": unknown_subcommand_in_a_script,
    "group behind the first entry": group_behind_the_first_entry,
    "last of none": last_of_none,
    "nothing to leave": nothing_to_leave,
    "time before key": time_before_key,
    "member by name": member_by_name,
    "command of whom": command_of_whom,
    "not inside a transaction": not_inside_a_transaction,
    "sum of the script": sum_of_the_script,
}
