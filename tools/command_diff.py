#!/usr/bin/env python3
"""Holds the command table and the settings against a running original's: what COMMAND and COMMAND DOCS tell of each command and
subcommand, and what CONFIG GET and CONFIG SET answer about each setting.

    tools/command_diff.py ORIGINAL_PORT TRIVET_PORT        prints what differs without being expected to

Compared: arity, flags, keys (first, last, step, and the specifications), ACL categories, tips, subcommands; of the documentation since, group,
flags, deprecation and the arguments. Summaries, complexities and histories are sentences of the original's own and are left out.
Of a setting: its value, and the answers to its own value and to some that hardly any takes; what was taken is set back. Both
servers are fresh ones: nobody else uses them.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from wire import resp  # noqa: E402

# Commands of the original that are not here: a pattern of names, and why.
MISSING = {
    r"acl(\|.*)?": "there are no users and rights yet",
    r"asking|cluster(\|.*)?|clusterscan|readonly|readwrite": "there is no cluster yet",
    r"failover|psync|replconf|replicaof|slaveof|sync|waitaof": "there is no replication yet",
    r"restore-asking": "it is for a cluster's slots",
}
# Commands that this original does not have.
MORE = {
    r"config (dynamic-hz|sanitize-dump-payload|io-threads-do-reads|events-per-io-thread)": "of Valkey 8",
    r"config (active-defrag-cycle-us|cluster-(announce-client-(tls-)?port|config-save-behavior|databases|manual-failover-timeout|slot-migration-log-max-len)"
    r"|commandlog-.*|hash-seed|import-mode|log-format|log-timestamp-format|mptcp|rdb-version-check|rdma-.*|repl-mptcp|slot-migration-max-failover-repl-bytes"
    r"|tls-auth-clients-user|tls-auto-reload-interval)": "of Valkey 8.1 to 9.1",
    r"config script-memory-max": "what bounds scripts' memory",
    r"kafka\..*": "the bridge",
    r"b?lmovem|delex|digest|increx|s(diff|union)card": "of Redis 8.4 to 8.10",
    r"xackdel|xdelex|xnack|xcfgset|xidmprecord": "of Redis 8.2 to 8.8",
    r"client\|import-source|delifeq|msetex|hgetdel|h(get|set)ex|hp?(expire(at|time)?|ttl)|hpersist|commandlog(\|.*)?": "of Valkey 8.1 to 9.1",
}
# Differences of commands that both have: a pattern of lines as `differences` makes them, and why.
EXPECTED = {
    r".*: subcommands: without (client|function)\|.*": "missing ones, see above",
    r"set: arguments: with /condition/(ifne-value|ifdeq-digest|ifdne-digest) .*": "of Redis 8.4",
    r"z(inter|union)(store)?: arguments: with /aggregate/count .*": "of Redis 8.8",
    r"shutdown: arguments: without .*/(safe|failover) .*": "they concern a cluster's replicas",
    r"config (port|dir|bind|pidfile|logfile|unixsocket|save|dbfilename|availability-zone|oom-score-adj-values): value: .*": "how it was started",
    r"config appendonly: value: .*": "on from the start, as durability is what it is for",
    r"config latency-tracking: value: .*": "docs/decisions/0096-latency-tracking-is-off.md",
    r"config (locale-collate|tls-port|rdma-bind|slot-migration-max-failover-repl-bytes): set .*": "what would do nothing is refused",
    r"config (aof-timestamp-enabled|import-mode|tls-cluster|tls-replication): set yes: .*": "the same",
    r"config (enable-debug-command|enable-protected-configs): value: .*": "how it was started",
    r"config io-threads: set .*": "carriers are made at the start",
    r"config syslog-ident: value: .*": "the name of the program",
    r"config maxclients: set 1048576: .*": "the descriptors that the system gives each",
    r"sort(_ro)?: (specs|arguments): .*": "where BY, GET and STORE find keys is told by specifications, in place of not at all",
}
# Settings whose values are the test's own, or that move the server.
UNTOUCHED = {"port", "bind", "dir", "unixsocket", "tls-port"}
STRANGE = ("nonsense", "-1", "", "99999999999999999999999", "1048576", "7", "yes")
# The level is Valkey 9.1: what it changed shows against an older original.
EXPECTED_BEFORE_9 = {
    r"script\|debug: (arity|arguments): .*": "the debugger of an engine",
    r"config .*: set 9{23}: argument must be a memory( or percent)? value in place of .*": "what is no 64-bit number",
    r"config (repl-diskless-load|shutdown-on-sig(int|term)): set .*: argument\(s\) must be one of .*": "further words",
    r"bgsave: arguments: with(out)? /(schedule|operation).*": "CANCEL",
    r"client: subcommands: with client\|import-source": "of Valkey 8.1",
    r"client\|(kill|list): arguments: with(out)? /.*": "filters",
    r"exec: flags: with(out)? skip_(commandlog|slowlog)": "the flag's name",
    r"memory\|(malloc-stats|purge): flags: with loading": "while loading",
    r"client\|setinfo: arguments: with(out)? /attr/.*": "names in capitals",
    r"(client\|(caching|capa|getname|getredir|id|no-evict|no-touch|reply|setinfo|setname)|select): flags: with allow_busy": "while a script is busy",
    r"client\|reply: flags: with no_multi": "a reply that is off would stay so",
    r"script\|(exists|flush|show): flags: with stale": "on a replica without a primary",
    r"(georadius(bymember)?)(_ro)?: specs: with(out)? keyword .*": "the key of STORE has variable flags",
    r"geosearch(store)?: arguments: with(out)? /(from|by/polygon).*": "BYPOLYGON",
    r"set: arguments: with(out)? /condition.*": "IFEQ",
    r"(brpoplpush|getset|hmset|psetex|quit|rpoplpush|setex|setnx|substr|z(rev)?range(bylex|byscore)?|georadius(bymember)?(_ro)?): "
    r"(deprecated_since|replaced_by|doc_flags): .*": "9 took deprecations back",
}


def plain(reply):
    tag, value = reply
    if isinstance(value, bytes):
        return value.decode()
    if tag == "%":
        return {plain(name): plain(item) for name, item in value}
    if tag in "*~" and value is not None:
        return [plain(item) for item in value]
    return value


def spec_text(spec):
    begin, find = spec["begin_search"], spec["find_keys"]
    return f"{begin['type']} {sorted(begin['spec'].items())} {find['type']} {sorted(find['spec'].items())} {sorted(spec['flags'])}"


def argument_lines(arguments, path=""):
    """One line an argument, so that one that is more or less shows as itself."""
    for item in arguments:
        name = f"{path}/{item['name']}"
        rest = {key: value for key, value in item.items() if key not in ("name", "arguments", "summary")}
        if rest.get("display_text") == item["name"]:
            del rest["display_text"]
        yield f"{name} {sorted((key, str(value)) for key, value in rest.items())}"
        yield from argument_lines(item.get("arguments", []), name)


def rows_of(info, docs):
    """name -> {what: value}, subcommands among them."""
    name, arity, flags, first, last, step, acl, tips, specs, subcommands = info
    row = {
        "arity": arity,
        "flags": sorted(flags),
        "keys": (first, last, step),
        "acl": sorted(acl),
        "tips": sorted(tips),
        "specs": [spec_text(spec) for spec in specs],
        "subcommands": sorted(item[0] for item in subcommands),
    }
    row |= {key: docs.get(key) for key in ("since", "group", "deprecated_since", "replaced_by")}
    row["doc_flags"] = sorted(docs.get("doc_flags", []))
    row["arguments"] = list(argument_lines(docs.get("arguments", [])))
    found = {name: row}
    for item in subcommands:
        found |= rows_of(item, docs.get("subcommands", {}).get(item[0], {}))
    return found


def table_of(port):
    with resp.Connection(port) as one:
        one.ask("HELLO", "3")
        docs = plain(one.ask("COMMAND", "DOCS"))
        found = {}
        for info in plain(one.ask("COMMAND")):
            found |= rows_of(info, docs.get(info[0], {}))
        return found


def answer(connection, name, value):
    told = connection.ask("CONFIG", "SET", name, value)[1]
    return re.sub(r"^ERR CONFIG SET failed \(possibly related to argument '.*?'\) - ", "", told)


def settings_of(port):
    """As table_of: "config NAME" -> {what: value}."""
    with resp.Connection(port) as one:
        told = [plain(item) for item in one.ask("CONFIG", "GET", "*")[1]]
        found = {}
        for name, value in zip(told[::2], told[1::2]):
            row = found[f"config {name}"] = {"value": value}
            for strange in () if name in UNTOUCHED else STRANGE:
                row[f"set {strange}"] = answer(one, name, strange)
                if row[f"set {strange}"] == "OK":
                    answer(one, name, value)
            row["set itself"] = "" if name in UNTOUCHED else answer(one, name, value)
        return found


def explained(name, reasons):
    return any(re.fullmatch(pattern, name) for pattern in reasons)


def list_lines(name, what, expected, actual):
    for item in expected:
        if item not in actual:
            yield f"{name}: {what}: without {item}"
    for item in actual:
        if item not in expected:
            yield f"{name}: {what}: with {item}"
    if expected != actual and sorted(expected) == sorted(actual):
        yield f"{name}: {what}: in another order"


def differences(original, ours):
    """Lines, all of them: expected ones too."""
    for name in sorted(original.keys() | ours.keys()):
        if name not in ours:
            yield f"{name}: missing"
        elif name not in original:
            yield f"{name}: more"
        else:
            for what, expected in original[name].items():
                actual = ours[name][what]
                if isinstance(expected, list):
                    yield from list_lines(name, what, expected, actual)
                elif expected != actual:
                    yield f"{name}: {what}: {actual} in place of {expected}"


def major_version(port):
    with resp.Connection(port) as one:
        text = one.ask("INFO", "server")[1].decode()
        return int(re.search(r"(valkey|redis)_version:(\d+)", text).group(2))


def expected_of(port):
    return EXPECTED if major_version(port) >= 9 else EXPECTED | EXPECTED_BEFORE_9


def unexpected(lines, expected):
    for line in lines:
        name, _, what = line.partition(": ")
        family = {"missing": MISSING, "more": MORE}.get(what)
        if not (explained(name, family) if family else explained(line, expected)):
            yield line


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ports = [int(port) for port in sys.argv[1:]]
    original, ours = (table_of(port) | settings_of(port) for port in ports)
    lines = list(differences(original, ours))
    bad = list(unexpected(lines, expected_of(ports[0])))
    print("\n".join(bad))
    print(f"{len(original)} commands, subcommands and settings there, {len(ours)} here; {len(lines)} differences, {len(bad)} of them unexpected")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
