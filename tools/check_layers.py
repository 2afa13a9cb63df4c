"""Checks that the folders of src/ include only what ARCHITECTURE.md allows, and only public headers across folders; that the
rooms of a wing include only rooms below them; that comments name only files that there are; that no prefetch can be dropped by the compiler; and that no
command of Redis is known by its handler or its name in code.

    check_layers.py ROOT
"""
import os
import re
import sys

LOWER = {'base': set(), 'io': {'base'}, 'wire': {'base'}}
LOWER['net'] = {'base', 'io'}
LOWER['log'] = {'base', 'io', 'wire'}
FLOOR = {'base', 'io', 'wire', 'log', 'net'}
LOWER['auth'] = LOWER['coord'] = FLOOR
WING = FLOOR | {'auth', 'coord'}
LOWER['redis'] = LOWER['kafka'] = LOWER['zookeeper'] = WING
LOWER['bridge'] = {'base', 'io', 'net', 'wire', 'redis', 'kafka', 'zookeeper'}
LOWER['http'] = {'base', 'io', 'net', 'wire', 'coord', 'redis', 'kafka', 'zookeeper', 'bridge'}
LOWER['cli'] = LOWER['http'] | {'log'}
LOWER['server'] = set(LOWER) | {'server'}

# Folders whose headers are all public: vocabularies without an inside.
OPEN = {'base', 'wire'}
# Further public headers, beside FOLDER/FOLDER.h.
PUBLIC = {'io/sim.h', 'net/tls.h', 'coord/mirror.h', 'coord/session.h', 'kafka/catalog.h'}

# The rooms of a folder: what each may include beside its own files and the headers in the folder itself, which all share.
ROOMS = {
    'redis': {
        'config': set(),
        'types': {'config'},
        'db': {'types', 'config'},
        'persist': {'types', 'db', 'config'},
        'conn': {'config', 'db', 'types'},
        'script': set(),
        'exec': {'types', 'db', 'config', 'persist', 'conn', 'script'},
        'cmd': {'types', 'db', 'config', 'persist', 'conn', 'exec'},
    },
    'kafka': {
        'record': set(),
        'pattern': set(),
        'partition': {'record'},
        'config': {'record', 'partition'},
        'topics': {'record', 'partition', 'config'},
        'coordinator': {'record', 'pattern', 'partition', 'config', 'topics'},
        'share': {'record', 'partition', 'config', 'topics', 'coordinator'},
        'broker': {'record', 'partition', 'config', 'topics', 'coordinator'},
        'door': {'record', 'partition', 'config', 'topics', 'coordinator', 'broker'},
        'api': {'record', 'partition', 'config', 'topics', 'coordinator', 'share', 'broker'},
    },
    'net': {'tls': set()},
    'coord': {'tree': set(), 'raft': set(), 'service': {'tree', 'raft'}},
}
# Shared headers that a room must do without: raft/ replicates any state machine, so it may not see the tree's.
UNSEEN = {
    'coord/raft': {'coord/coord.h', 'coord/session.h', 'coord/mirror.h'},
}
# Headers that put together what several rooms own, with the number of files that see all of it through them, tests aside: it may
# only fall.
SEEN_BY = {'redis/exec/state.h': 29}
# What still looks upwards, (room, header): each is to go, and none may come.
DEBTS = set()

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def room_of(path):
    """'redis/db/db.h' -> ('redis', 'db'); None for what has no room."""
    parts = path.split('/')
    return (parts[0], parts[1]) if len(parts) > 2 and parts[0] in ROOMS and parts[1] in ROOMS[parts[0]] else None


def upward(path, target):
    """The debt that an include between rooms is, or None. Tests look where they must."""
    mine, theirs = room_of(path), room_of(target)
    if mine and target in UNSEEN.get('/'.join(mine), ()) and not is_test(path):
        return ('/'.join(mine), target)
    if not mine or not theirs or mine[0] != theirs[0] or mine == theirs or is_test(path):
        return None
    return None if theirs[1] in ROOMS[mine[0]][mine[1]] else ('/'.join(mine), target)


def is_test(path):
    return re.search(r'_(test|fuzz|test_host)\.[ch]$', path) is not None


COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
FILE = re.compile(r'(?<![\w.>*/-])((?:\w+/)*\w+\.[ch])\b(?![(.])')
GENERATED = {'redis_commands', 'kafka_schema', 'kafka_configs', 'zk_records'}
EXAMPLES = {'NAME'}  # stand for any file


def sources(src):
    """Each file of code, by its path below src with /, with its text."""
    for folder, _, names in os.walk(src):
        for name in names:
            if name.endswith(('.c', '.h', '.cc')):
                with open(os.path.join(folder, name), encoding='utf-8') as source:
                    yield os.path.relpath(os.path.join(folder, name), src).replace(os.sep, '/'), source.read()


def misnamed(root):
    """Files that comments speak of and that are not there, or not in the folder that is said."""
    texts = dict(sources(os.path.join(root, 'src')))
    there = ['/src/' + path for path in texts]
    for path, text in texts.items():
        for comment in COMMENT.findall(text):
            for name in FILE.findall(comment):
                stem = name.split('/')[-1][:-2]
                if stem not in GENERATED | EXAMPLES and not any(known.endswith('/' + name) for known in there):
                    yield f'src/{path}: a comment speaks of {name}, which is not there'


def dropped(root):
    """Prefetches that the compiler may drop, with all calls of the function that they stand in."""
    for path, text in sources(os.path.join(root, 'src')):
        if path != 'base/base.h' and '__builtin_prefetch' in text:
            yield f'src/{path}: __builtin_prefetch can be dropped by the compiler; mem_prefetch cannot'


def seen_by(root):
    """Headers of SEEN_BY that more files include than may, or fewer than the number says."""
    for header, count in SEEN_BY.items():
        seers = [path for path, text in sources(os.path.join(root, 'src')) if not is_test(path) and header in INCLUDE.findall(text)]
        if len(seers) > count:
            yield f'src/{header}: {len(seers)} files include it, and were {count}: take what a file needs from the header of its part'
        elif len(seers) < count:
            yield f'tools/check_layers.py: {len(seers)} files include {header}, not {count}: lower the number'


COMPARED = re.compile(r'->handler\s*[!=]=|strcmp\([^;\n]*command->(?:full_)?name')


def compared(root):
    """What a command is told apart by is a trait in schema/redis, not its handler or its name."""
    for path, text in sources(os.path.join(root, 'src')):
        if path.startswith('redis/') and not is_test(path):
            for found in COMPARED.finditer(text):
                yield f'src/{path}:{text.count(chr(10), 0, found.start()) + 1}: a command is known by its handler or name'


def problems(root):
    yield from misnamed(root)
    yield from compared(root)
    yield from seen_by(root)
    yield from dropped(root)
    paid = set(DEBTS)
    for path, text in sources(os.path.join(root, 'src')):
        mine = path.split('/')[0]
        for target in INCLUDE.findall(text):
            theirs = target.split('/')[0]
            debt = upward(path, target)
            paid.discard(debt)
            if debt and debt not in DEBTS:
                yield f'src/{path}: the room {debt[0]} may not include "{target}"'
            if '/' not in target or theirs == mine:
                continue  # generated code, or this folder's own inside
            if theirs not in LOWER:
                yield f'src/{path}: includes "{target}", and there is no folder src/{theirs}'
            elif theirs not in LOWER.get(mine, set()):
                yield f'src/{path}: {mine} may not include {theirs} ("{target}")'
            elif theirs not in OPEN and target != f'{theirs}/{theirs}.h' and target not in PUBLIC:
                yield f'src/{path}: "{target}" is inside {theirs}; include {theirs}/{theirs}.h'
    for room, target in sorted(paid):
        yield f'tools/check_layers.py: {room} no longer includes "{target}": take it off the debts'


def main():
    found = sorted(problems(sys.argv[1]))
    print('\n'.join(found) if found else 'layers: every include is allowed, and every file that a comment names is there')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
