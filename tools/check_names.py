"""Checks that a function shared between files of one room, `prefix__name`, is named for where it is: the prefix begins the
file's name by whole words (`quorum__send` in quorum_wire.c) or is the room's.

    check_names.py ROOT
"""
import re
import sys

import check_layers

# Rooms and files that go by another name: a shorter one, or that of the wing whose face the room is.
SHORT = {'zookeeper': 'zk', 'listpack': 'lp', 'quicklist': 'ql', 'service': 'coord'}
# What is still named for another file, (file, function): each is to go, and none may come.
DEBTS = set()

# A definition begins in the first column, as clang-format has it, and its body follows.
DEFINITION = re.compile(r'^[a-z](?:[^\n;={}]*[ *])?((?:[a-z0-9]+_)*[a-z0-9]+?)__([a-z0-9_]+)\([^;{]*\)\s*\{', re.M)


def shared_functions(text):
    """(prefix, name) of each function with two underscores that a file defines."""
    for found in DEFINITION.finditer(check_layers.COMMENT.sub('', text)):
        yield found.group(1), f'{found.group(1)}__{found.group(2)}'


def at_home(path, prefix):
    """Whether a function of that prefix belongs into the file."""
    room, file = path.split('/')[-2:]
    stem = file.split('.')[0]
    homes = {room, SHORT.get(room)} | {short for long, short in SHORT.items() if stem == long or stem.startswith(long + '_')}
    return prefix in homes or stem == prefix or stem.startswith(prefix + '_')


def problems(files, debts):
    """`files`: pairs of a path below src and its text."""
    paid = set(debts)
    for path, text in files:
        for prefix, name in shared_functions(text):
            if at_home(path, prefix):
                continue
            if (path, name) not in debts:
                yield f'src/{path}: {name} is named for another file or room'
            paid.discard((path, name))
    for path, name in sorted(paid):
        yield f'tools/check_names.py: {name} of {path} is gone or at home: take it off the debts'


def main():
    found = sorted(problems(check_layers.sources(sys.argv[1] + '/src'), DEBTS))
    print('\n'.join(found) if found else 'names: every shared function is named for its file or room')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
