"""Where Trivet may answer otherwise than Valkey 8, and why. Each has a name and a predicate on one exchange.

A predicate gets (words, expected, actual), the replies as wire.resp gives them. Keep them narrow.
"""

EXCEPTIONS = {}
