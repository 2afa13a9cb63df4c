"""Places: the members that a search finds, their order, and each digit of distances and coordinates, as the original gives them."""

import random

import pytest
from wire import resp

UNITS = ("m", "km", "ft", "mi", "KM")


class Pair:
    """Sends everything to both servers and holds their replies against one another."""

    def __init__(self, ports, protocol):
        self.protocol = protocol
        self.original, self.tested = (resp.Connection(port) for port in ports)
        for one in (self.original, self.tested):
            one.ask("HELLO", protocol)
        self.ask("FLUSHALL")

    def ask(self, *words):
        expected, actual = self.original.ask(*words), self.tested.ask(*words)
        assert actual == expected, " ".join(map(str, words))
        return actual

    def scores(self, key):
        """What was stored; the original does not always find the shortest digits of a score."""
        expected, actual = (
            [(member, float(score[1])) for _, (member, score) in one.ask("ZRANGE", key, "0", "-1", "WITHSCORES")[1]]
            if self.protocol == 3
            else [item[1] for item in one.ask("ZRANGE", key, "0", "-1")[1]]
            for one in (self.original, self.tested)
        )
        assert actual == expected

    def close(self):
        self.original.close()
        self.tested.close()


def place(lot, crowd):
    """Anywhere, or near one of a few towns; some on the edges of what there is."""
    if crowd is None:
        return lot.uniform(-180, 180), lot.uniform(-85, 85)
    x, y = crowd
    spread = 10 ** lot.uniform(-4, 1)
    return max(-180, min(180, x + lot.uniform(-spread, spread))), max(-85.05, min(85.05, y + lot.uniform(-spread, spread)))


def fill(pair, lot, key, count, crowds):
    members = []
    for n in range(count):
        longitude, latitude = place(lot, lot.choice(crowds))
        members += [f"{longitude:.9f}", f"{latitude:.9f}", f"m{n}" if n % 4 else str(n)]
    for start in range(0, len(members), 3000):
        pair.ask("GEOADD", key, *members[start : start + 3000])
    return members[2::3]


def area(lot, members, centre):
    size = f"{10 ** lot.uniform(0, 7):.3f}"
    unit = lot.choice(UNITS)
    words = ["BYRADIUS", size, unit] if lot.random() < 0.5 else ["BYBOX", size, f"{10 ** lot.uniform(0, 7):.3f}", unit]
    if lot.random() < 0.3:
        return ["FROMMEMBER", lot.choice(members), *words]
    return ["FROMLONLAT", f"{centre[0]:.7f}", f"{centre[1]:.7f}", *words]


def options(lot):
    words = [option for option in ("WITHDIST", "WITHCOORD", "WITHHASH") if lot.random() < 0.4]
    if lot.random() < 0.6:
        words.append(lot.choice(["ASC", "DESC"]))
    if lot.random() < 0.4:
        words += ["COUNT", str(lot.choice([1, 3, 10, 1000]))] + (["ANY"] if lot.random() < 0.4 else [])
    return words


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("count", [60, 3000], ids=["listpack", "tree"])
def test_searches_find_what_the_original_finds(redis_ports, protocol, count):
    pair, lot = Pair(redis_ports, protocol), random.Random(count + protocol)
    crowds = [None, (13.4, 38.1), (-179.9, 10.0), (100.0, 84.9), (0.0, 0.0), (-70.0, -60.0)]
    members = fill(pair, lot, "g", count, crowds)
    for _ in range(400):
        centre = place(lot, lot.choice(crowds))
        words = area(lot, members, centre)
        pair.ask("GEOSEARCH", "g", *words, *options(lot))
        if lot.random() < 0.2:
            pair.ask("GEOSEARCHSTORE", "d", "g", *words, *(["STOREDIST"] if lot.random() < 0.5 else []))
            pair.scores("d")
        if lot.random() < 0.2:
            store = lot.choice([[], ["STORE", "d"], ["STOREDIST", "d"]])
            size = [f"{10 ** lot.uniform(0, 7):.3f}", lot.choice(UNITS)]
            pair.ask("GEORADIUS", "g", f"{centre[0]:.7f}", f"{centre[1]:.7f}", *size, *(store or options(lot)))
            pair.ask("GEORADIUSBYMEMBER", "g", lot.choice(members), *size, *(store or options(lot)))
            pair.scores("d")
    pair.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_places_and_distances_have_the_originals_digits(redis_ports, protocol):
    pair, lot = Pair(redis_ports, protocol), random.Random(protocol)
    members = fill(pair, lot, "g", 500, [None, (13.4, 38.1)])
    odd = ["0", "-1", "1.5", "4503599627370495", "9007199254740992", "1e18", "1e19", "1e20", "-1e19", "inf", "-inf", "3479099956230698"]
    for score in odd:
        pair.ask("ZADD", "g", score, f"odd{score}")
        members.append(f"odd{score}")
    for member in members:
        pair.ask("GEOPOS", "g", member, "nosuch")
        pair.ask("GEOHASH", "g", member, "nosuch")
        pair.ask("GEODIST", "g", member, lot.choice(members), *lot.choice([[], ["m"], ["km"], ["ft"], ["mi"]]))
        pair.ask("ZSCORE", "g", member)
    pair.close()
