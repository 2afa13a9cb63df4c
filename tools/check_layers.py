"""Checks that the folders of src/ include only what ARCHITECTURE.md allows, and only public headers across folders.

    check_layers.py ROOT
"""
import os
import re
import sys

LOWER = {'base': set(), 'io': {'base'}, 'wire': {'base'}}
LOWER['log'] = LOWER['net'] = {'base', 'io'}
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
PUBLIC = {'io/sim.h', 'coord/mirror.h', 'coord/session.h'}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def problems(root):
    src = os.path.join(root, 'src')
    for folder, _, names in os.walk(src):
        for name in names:
            if not name.endswith(('.c', '.h', '.cc')):
                continue
            path = os.path.relpath(os.path.join(folder, name), src)
            mine = path.split(os.sep)[0]
            with open(os.path.join(folder, name), encoding='utf-8') as source:
                text = source.read()
            for target in INCLUDE.findall(text):
                theirs = target.split('/')[0]
                if '/' not in target or theirs == mine:
                    continue  # generated code, or this folder's own inside
                if theirs not in LOWER:
                    yield f'src/{path}: includes "{target}", and there is no folder src/{theirs}'
                elif theirs not in LOWER.get(mine, set()):
                    yield f'src/{path}: {mine} may not include {theirs} ("{target}")'
                elif theirs not in OPEN and target != f'{theirs}/{theirs}.h' and target not in PUBLIC:
                    yield f'src/{path}: "{target}" is inside {theirs}; include {theirs}/{theirs}.h'


def main():
    found = sorted(problems(sys.argv[1]))
    print('\n'.join(found) if found else 'layers: every include is allowed')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
