"""What check_circles.py finds and what it does not."""
import unittest

import check_circles

LOW, HIGH = 'redis/db/low', 'redis/exec/high'


def files(low, high, header='void high_run(void);\n'):
    return {'redis/shared.h': header, LOW + '.c': low, HIGH + '.c': high}


DOWN = '#include "redis/shared.h"\nvoid high_run(void)\n{\n    low_run();\n}\n'
UP = [
    'void low_run(void)\n{\n    high_run();\n}\n',
    'void low_run(void)\n{\n    start(high_run);\n}\n',
    'static const op_t op = {.run = high_run};\nvoid low_run(void)\n{\n}\n',
    'int *low_make(int n,\n              int m)\n{\n    return high_run(n);\n}\nvoid low_run(void)\n{\n}\n',
]
APART = [
    'void low_run(void)\n{\n    /* high_run(); */\n    put("high_run()");\n}\n',
    'static void high_run(void)\n{\n}\nvoid low_run(void)\n{\n    high_run();\n}\n',  # its own
    'void low_run(op_t *op)\n{\n    op->high_run(1);\n    op.high_run = 0;\n}\n',  # a field
    'void low_run(bool high_run)\n{\n    if (high_run) stop();\n}\n',  # a variable
    'struct low {\n    void (*high_run)(void);\n};\nvoid low_run(void)\n{\n}\n',
]


class Circles(unittest.TestCase):
    def found(self, low, high=DOWN):
        return [circle for circle, _ in check_circles.crossing(files(low, high))]

    def test_calls_upwards(self):
        for low in UP:
            self.assertEqual(self.found(low), [[LOW, HIGH]], low)

    def test_no_calls(self):
        for low in APART:
            self.assertEqual(self.found(low), [], low)

    def test_includes(self):
        there = {'redis/state.h': '#include "redis/db/low.h"\n', LOW + '.h': '', LOW + '.c': '#include "redis/state.h"\n'}
        self.assertEqual([circle for circle, _ in check_circles.crossing(there)], [[LOW, 'redis/state']])

    def test_circles_in_one_room_are_its_own_matter(self):
        there = {LOW + '.c': 'void low_run(void)\n{\n    too();\n}\n', 'redis/db/too.c': 'void too(void)\n{\n    low_run();\n}\n'}
        self.assertEqual(list(check_circles.crossing(there)), [])
        self.assertEqual(len(check_circles.circles(check_circles.arrows(there))), 1)

    def test_a_long_circle(self):
        graph = {str(i): {str((i + 1) % 5000): {'x'}} for i in range(5000)}
        self.assertEqual([len(circle) for circle in check_circles.circles(graph)], [5000])

    def test_debts_only_shrink(self):
        there = files(UP[0], DOWN)
        self.assertEqual(list(check_circles.problems(there, {'redis': 2})), [])
        self.assertEqual(len(list(check_circles.problems(there, {'redis': 1}))), 1)
        self.assertEqual(len(list(check_circles.problems(there, {'redis': 3}))), 1)
        self.assertEqual(len(list(check_circles.problems(there, {}))), 3)


if __name__ == '__main__':
    unittest.main()
