"""Where Trivet answers otherwise than Valkey 8, and why. Each has a name and a predicate; keep them narrow.

AVOIDED judges a command's words: such a command is not sent at all, because it would leave different keys behind.
EXCEPTIONS judges one exchange, (words, expected, actual), the replies as wire.resp gives them.
"""


def lset_beyond_32_bits(words):
    """The original cuts LSET's index to 32 bits, so that 2^63 - 1 replaces the last element and -2^63 the first.

    We say that it is out of range, as both do for every other index that is."""
    return words[0].upper() == "LSET" and len(words) == 4 and words[2].lstrip("-").startswith("92233720368547758")


AVOIDED = {"lset beyond 32 bits": lset_beyond_32_bits}
EXCEPTIONS = {}
