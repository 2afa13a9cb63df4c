"""HyperLogLogs have the original's bytes after each step, so that a dump of one means the same in the other."""

import random

from wire import resp


class Pair:
    """Sends everything to both servers and holds their replies against one another."""

    def __init__(self, ports):
        self.original, self.tested = (resp.Connection(port) for port in ports)
        self.ask("FLUSHALL")

    def ask(self, *words):
        expected, actual = self.original.ask(*words), self.tested.ask(*words)
        assert actual == expected, words
        return actual

    def close(self):
        self.original.close()
        self.tested.close()


def test_images_are_the_originals_at_every_size(redis_ports):
    pair, lot = Pair(redis_ports), random.Random(11)
    for sparse_bytes_max in (3000, 100, 0, 20000):
        pair.ask("CONFIG", "SET", "hll-sparse-max-bytes", sparse_bytes_max)
        keys = [f"h{sparse_bytes_max}-{i}" for i in range(4)]
        for step in range(150):
            key = lot.choice(keys)
            count = 1 if step < 50 else lot.randrange(60)
            pair.ask("PFADD", key, *[str(lot.randrange(10**6)) for _ in range(count)])
            pair.ask("GET", key)
            pair.ask("PFCOUNT", *lot.sample(keys, lot.randint(1, 4)))
        pair.ask("PFMERGE", *lot.sample(keys, 3))
        pair.ask("PFMERGE", f"all{sparse_bytes_max}", *keys)
        for key in [*keys, f"all{sparse_bytes_max}"]:
            pair.ask("GET", key)
            pair.ask("PFDEBUG", "ENCODING", key)
            pair.ask("PFDEBUG", "DECODE", key)
            pair.ask("PFCOUNT", key)
            pair.ask("GET", key)  # with the cardinality in it
    pair.ask("PFDEBUG", "GETREG", "h3000-0")
    pair.ask("PFDEBUG", "TODENSE", "h20000-1")
    pair.ask("GET", "h20000-1")
    pair.ask("CONFIG", "SET", "hll-sparse-max-bytes", 3000)
    pair.close()


def test_broken_images_are_refused_as_the_original_refuses_them(redis_ports):
    pair, lot = Pair(redis_ports), random.Random(12)
    pair.ask("PFADD", "whole", *map(str, range(40)))
    image = pair.ask("GET", "whole")[1]
    broken = [b"", b"HYLL", image[:15], image + b"hello", b"hyll" + image[4:], image[:4] + b"\2" + image[5:],
              image[:4] + b"\0" + image[5:], image[:16], image[:-1]]  # fmt: skip
    for bytes_ in broken:
        for call in (["PFCOUNT", "k"], ["PFCOUNT", "k", "whole"], ["PFMERGE", "d", "k"], ["PFMERGE", "k", "whole"],
                     ["PFDEBUG", "GETREG", "k"], ["PFDEBUG", "TODENSE", "k"], ["PFDEBUG", "ENCODING", "k"]):  # fmt: skip
            pair.ask("SET", "k", bytes_)
            pair.ask(*call)
            pair.ask("GET", "k")
            pair.ask("DEL", "d")
    for _ in range(200):  # a byte of the runs is another
        at = lot.randrange(16, len(image))
        pair.ask("SET", "k", image[:at] + bytes([lot.randrange(256)]) + image[at + 1 :])
        pair.ask("PFCOUNT", "k")
        pair.ask("PFMERGE", "d", "k")
    pair.close()
