"""Where Trivet may answer otherwise than Kafka, and why. Each has a name and a predicate on one exchange.

A predicate gets (case name, what was asked, expected, actual). Keep them narrow.
"""

EXCEPTIONS = {}
