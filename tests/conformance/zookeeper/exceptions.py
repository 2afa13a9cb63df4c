"""Where Trivet may answer otherwise than ZooKeeper, and why. Each has a name and a predicate on one exchange.

A predicate gets (op, body, expected, actual) as script.Player.play returns them. Keep them narrow.
"""

EXCEPTIONS = {}
