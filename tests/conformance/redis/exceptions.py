"""Where Trivet may answer otherwise than Valkey 8, and why. Each has a name and a predicate on one exchange.

A predicate gets (words, expected, actual), the replies as wire.resp gives them. Keep them narrow.
"""


def lset_far_beyond_the_end(words, expected, actual):
    """LSET with an index near 2^63 overflows inside the original, which answers OK; we say that it is out of range."""
    huge = words[0].upper() == "LSET" and len(words) == 4 and words[2].lstrip("-") in ("9223372036854775807", "9223372036854775808")
    return huge and actual == ("-", "ERR index out of range")


EXCEPTIONS = {"lset far beyond the end": lset_far_beyond_the_end}
