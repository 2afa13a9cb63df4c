"""What check_names.py lets pass and what it does not."""
import unittest

import check_names

AT_HOME = [
    ('coord/raft/quorum_wire.c', 'int quorum__send(quorum_t *q)\n{\n}\n'),  # the file begins so
    ('coord/raft/wal.c', 'int raft__begin(void)\n{\n}\n'),  # the room's name
    ('redis/types/listpack.c', 'void lp__skip(const uint8_t *p) { }\n'),  # a short one
    ('redis/db/keyspace.c', 'void keyspace__grow(keyspace_t *k,\n                    size_t n)\n{\n}\n'),
    ('redis/db/keyspace.c', 'static void run(void)\n{\n    entry__free(e);\n    if (type__of(e)) {\n    }\n}\n'),  # calls
    ('redis/db/keyspace.c', '/* entry__free(entry) {} */\nvoid entry__free(entry_t *entry);\n'),
]
ELSEWHERE = [
    ('redis/exec/exec.c', 'const command_t *command__lookup(bytes_t name)\n{\n}\n', 'command__lookup'),
    ('coord/raft/quorum.c', 'int quorum_wire__send(void)\n{\n}\n', 'quorum_wire__send'),  # longer than the file's name
    ('kafka/broker/connection.c', 'uint16_t kafka__port_of(void) { return 1; }\n', 'kafka__port_of'),  # the wing is no room
    ('log/segment.c', 'void seg__roll(void)\n{\n}\n', 'seg__roll'),  # no whole word
]


class Names(unittest.TestCase):
    def test_at_home(self):
        for file in AT_HOME:
            self.assertEqual(list(check_names.problems([file], set())), [], file)

    def test_elsewhere(self):
        for path, text, name in ELSEWHERE:
            found = list(check_names.problems([(path, text)], set()))
            self.assertEqual(found, [f'src/{path}: {name} is named for another file or room'])

    def test_debts_only_shrink(self):
        path, text, name = ELSEWHERE[0]
        self.assertEqual(list(check_names.problems([(path, text)], {(path, name)})), [])
        self.assertEqual(len(list(check_names.problems([], {(path, name)}))), 1)


if __name__ == '__main__':
    unittest.main()
