"""Checks that no circle crosses rooms: files that include one another, or call one another, in a loop are to be of one room. The
check of layers sees includes alone, and a header that all rooms share can declare what any of them defines.

    check_circles.py ROOT [-v]     -v: the arrows of each circle that cross rooms
"""
import collections
import re
import sys

import check_layers

# How many files of a folder are in such circles, should some have to be owed: the number may only fall.
DEBTS = {}

STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
# A definition begins in the first column, as clang-format has it, and its body follows.
DEFINITION = re.compile(r'^([a-z](?:[^\n;={}(]*[ *])?)([a-z_]\w*)\([^;{}]*\)\s*(?:MUST_CHECK\s*)?\{', re.M)
# A name that is called or handed on, with what stands before it: not a field, nor a pointer to functions.
NAME = re.compile(r'(\w+ \*?)?(?<![\w.>(]\*)(?<![\w.>])([a-z_]\w*)\b(\(?)')
KEYWORDS = ('return ', 'else ', 'case ')


def unit(path):
    """A source and its header are one."""
    return path.rsplit('.', 1)[0]


def room(path):
    """The room of a file; those that lie in a folder with rooms itself share one, and so does a folder without rooms."""
    return '/'.join(check_layers.room_of(path) or (path.split('/')[0],))


def functions(code):
    """The names of the functions that a file defines: (for all, for itself)."""
    shared, own = set(), set()
    for kind, name in DEFINITION.findall(code):
        (own if kind.startswith('static') else shared).add(name)
    return shared, own


def named(code):
    """Names that may be another file's functions: those that are called, and others that the file declares no variable of."""
    called, handed, variables = set(), set(), set()
    for before, name, call in NAME.findall(code):
        variable = before and not call and before not in KEYWORDS
        (called if call else variables if variable else handed).add(name)
    return called | handed - variables


def arrows(files):
    """{unit: {unit: names}}: who includes whom (by the name #include), and who names functions of whom."""
    codes = {path: STRING.sub('""', check_layers.COMMENT.sub(' ', text)) for path, text in files.items()}
    defined = {path: functions(code) for path, code in codes.items()}
    owner = {name: path for path, (shared, _) in defined.items() if path.endswith('.c') for name in shared}
    found = collections.defaultdict(lambda: collections.defaultdict(set))
    for path, text in files.items():
        for target in check_layers.INCLUDE.findall(text):
            if target in files and unit(target) != unit(path):
                found[unit(path)][unit(target)].add('#include')
        declares = path.endswith('.h')
        for name in () if declares else named(codes[path]) - defined[path][1]:
            if name in owner and unit(owner[name]) != unit(path):
                found[unit(path)][unit(owner[name])].add(name)
    return found


def circles(graph):
    """Tarjan's strongly connected components of more than one node, without recursion."""
    index, low, stack, held, found = {}, {}, [], set(), []
    for root in graph:
        work = [] if root in index else [(root, iter(sorted(graph[root])))]
        while work:
            node, nexts = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                held.add(node)
            for other in nexts:
                if other not in index:
                    work.append((other, iter(sorted(graph.get(other, ())))))
                    break
                if other in held:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    held.difference_update(stack[at:])
                    if len(stack) - at > 1:
                        found.append(stack[at:])
                    del stack[at:]
    return found


def crossing(files):
    """(units, arrows between rooms) of each circle that crosses rooms."""
    graph = arrows(files)
    for circle in circles(graph):
        inside = set(circle)
        across = [(a, b, sorted(graph[a][b])) for a in sorted(inside) for b in sorted(graph[a])
                  if b in inside and room(a + '.c') != room(b + '.c')]
        if across:
            yield sorted(inside), across


def problems(files, debts, verbose=False):
    owed = collections.Counter()
    for circle, across in crossing(files):
        folder = circle[0].split('/')[0]
        owed[folder] += len(circle)
        if verbose or folder not in debts:
            yield f'src/{folder}: {len(circle)} files are in a circle that crosses rooms'
            yield from (f'    {a} -> {b}: {", ".join(names)}' for a, b, names in across)
    for folder, count in sorted(debts.items()):
        if owed[folder] > count:
            yield f'src/{folder}: {owed[folder]} files are in circles that cross rooms, and were {count}: see -v'
        elif owed[folder] < count:
            yield f'tools/check_circles.py: {owed[folder]} files of src/{folder} are in circles now, not {count}: lower the number'


def main():
    files = {path: text for path, text in check_layers.sources(sys.argv[1] + '/src') if not check_layers.is_test(path)}
    found = list(problems(files, DEBTS, '-v' in sys.argv))
    print('\n'.join(found) if found else 'circles: none crosses rooms')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
