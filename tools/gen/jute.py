"""Turns schema/zookeeper into C: a struct and get/size/put functions a record, and the table of operations.

    jute.py OUT.h OUT.c SCHEMA...

A record CreateRequest becomes zk_create_request_t with zk_create_request_get (into a jute_reader_t), _size and _put. The
operations become the enumerators ZK_OP_… and the X-macro ZK_OPERATION_MAP(X) with X(NAME, opcode, kind, handler, "name").
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grammar  # noqa: E402

# type: (C type, reader, writer, bytes on the wire at least, fixed size or None)
SCALARS = {
    'bool': ('bool', 'jute_get_bool', 'jute_put_bool', 1, 1),
    'int': ('int32_t', 'jute_get_int', 'jute_put_int', 4, 4),
    'long': ('int64_t', 'jute_get_long', 'jute_put_long', 8, 8),
    'string': ('bytes_t', 'jute_get_bytes', 'jute_put_bytes', 4, None),
    'buffer': ('bytes_t', 'jute_get_bytes', 'jute_put_bytes', 4, None),
}
KINDS = ('write', 'read', 'session', 'part')


def snake(name):
    """CreateTTLRequest -> create_ttl_request, SetWatches2 -> set_watches2, getACL -> get_acl."""
    name = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name)
    return re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name).lower()


class Field:
    def __init__(self, node, records):
        node.only_attrs()
        words = node.words
        self.name = words[0]
        self.vector = len(words) == 3 and words[1] == 'vector'
        if not self.vector and len(words) != 2:
            node.fail("a field is `NAME TYPE` or `NAME vector TYPE`")
        self.type = words[-1]
        if self.type not in SCALARS and self.type not in records:
            node.fail(f"unknown type '{self.type}' (a record must stand above its use)")
        if self.vector and self.type in SCALARS and self.type != 'string':
            node.fail("a vector holds strings or records")
        self.record = records.get(self.type)

    def wire_min(self):
        if self.vector:
            return 4
        return self.record.wire_min() if self.record else SCALARS[self.type][3]

    def declare(self):
        ctype = f'{self.record.c}_t' if self.record else SCALARS[self.type][0]
        if self.vector:
            return [f'{ctype} *{self.name};', f'int32_t {self.name}_count; /* -1 = null */']
        return [f'{ctype} {self.name};']

    def get(self):
        to, count = f'ret->{self.name}', f'ret->{self.name}_count'
        if self.vector and self.type == 'string':
            return [f'{to} = jute_get_strings(r, &{count});']
        if self.vector:
            return [f'{to} = jute_get_vector(r, sizeof(*{to}), {self.record.wire_min()}, &{count});',
                    f'for (int32_t i = 0; i < {count}; i++) {self.record.c}_get(r, &{to}[i]);']
        if self.record:
            return [f'{self.record.c}_get(r, &{to});']
        return [f'{to} = {SCALARS[self.type][1]}(r);']

    def size(self):
        src, count = f'v->{self.name}', f'v->{self.name}_count'
        if self.vector and self.type == 'string':
            return [f'size += jute_strings_size({src}, {count});']
        if self.vector:
            return ['size += 4;', f'for (int32_t i = 0; i < {count}; i++) size += {self.record.c}_size(&{src}[i]);']
        if self.record:
            return [f'size += {self.record.c}_size(&{src});']
        fixed = SCALARS[self.type][4]
        return [f'size += {fixed};' if fixed else f'size += jute_bytes_size({src});']

    def put(self):
        src, count = f'v->{self.name}', f'v->{self.name}_count'
        if self.vector and self.type == 'string':
            return [f'at = jute_put_strings(at, {src}, {count});']
        if self.vector:
            return [f'at = jute_put_int(at, {count});',
                    f'for (int32_t i = 0; i < {count}; i++) at = {self.record.c}_put(at, &{src}[i]);']
        if self.record:
            return [f'at = {self.record.c}_put(at, &{src});']
        return [f'at = {SCALARS[self.type][2]}(at, {src});']


class Record:
    def __init__(self, node, records):
        node.only_attrs()
        if len(node.words) != 2:
            node.fail("a record is `record NAME`")
        self.name = node.words[1]
        self.c = 'zk_' + snake(self.name)
        self.fields = [Field(child, records) for child in node.children]
        if not self.fields:
            node.fail("a record needs fields")

    def wire_min(self):
        return sum(field.wire_min() for field in self.fields)

    def signatures(self):
        return (f'void {self.c}_get(jute_reader_t *r, {self.c}_t *ret)',
                f'size_t {self.c}_size(const {self.c}_t *v)',
                f'uint8_t *{self.c}_put(uint8_t *at, const {self.c}_t *v)')

    def header(self):
        lines = [f'typedef struct {self.c} {{']
        lines += [f'    {line}' for field in self.fields for line in field.declare()]
        return lines + [f'}} {self.c}_t;'] + [f'{s};' for s in self.signatures()] + ['']

    def source(self):
        get, size, put = self.signatures()
        body = [get, '{'] + [f'    {line}' for field in self.fields for line in field.get()] + ['}', '']
        body += [size, '{', '    size_t size = 0;']
        body += [f'    {line}' for field in self.fields for line in field.size()]
        if all(f.type in SCALARS and SCALARS[f.type][4] for f in self.fields if not f.vector) \
                and not any(f.vector for f in self.fields):
            body.append('    (void)v;')
        body += ['    return size;', '}', '']
        body += [put, '{'] + [f'    {line}' for field in self.fields for line in field.put()]
        return body + ['    return at;', '}', '']


def operation(node):
    node.only_attrs('kind', 'handler')
    if len(node.words) != 3 or node.attrs.get('kind') not in KINDS or 'handler' not in node.attrs:
        node.fail(f"an operation is `operation NAME OPCODE kind={'|'.join(KINDS)} handler=NAME`")
    name = node.words[1]
    return snake(name).upper(), int(node.words[2]), node.attrs['kind'], node.attrs['handler'], name


def read(paths):
    records, operations = {}, []
    for path in paths:
        for node in grammar.parse(path):
            if node.kind == 'record':
                record = Record(node, records)
                if record.name in records:
                    node.fail(f"record {record.name} is declared twice")
                records[record.name] = record
            elif node.kind == 'operation':
                operations.append(operation(node))
            else:
                node.fail(f"unknown declaration '{node.kind}' (record, operation)")
    return records, operations


def main():
    header_path, source_path, *schemas = sys.argv[1:]
    records, operations = read(schemas)
    header = ['/* Generated from schema/zookeeper by tools/gen/jute.py. */', '#ifndef TRIVET_ZK_RECORDS_H',
              '#define TRIVET_ZK_RECORDS_H', '#include "wire/jute.h"', '']
    for record in records.values():
        header += record.header()
    header += ['enum {'] + [f'    ZK_OP_{o[0]} = {o[1]},' for o in operations] + ['};', '']
    rows = [f'X({o[0]}, {o[1]}, {o[2].upper()}, {o[3]}, "{o[4]}")' for o in operations]
    header += ['/* X(NAME, opcode, kind, handler, "name") */', '#define ZK_OPERATION_MAP(X) ' + ' '.join(rows), '', '#endif']
    source = ['/* Generated from schema/zookeeper by tools/gen/jute.py. */', f'#include "{os.path.basename(header_path)}"', '']
    for record in records.values():
        source += record.source()
    for path, lines in ((header_path, header), (source_path, source)):
        with open(path, 'w', encoding='utf-8') as out:
            out.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    grammar.run(main)
