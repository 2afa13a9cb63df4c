"""Turns schema/kafka/*.schema into C: a struct and a shape (field table) a message, and the table of APIs.

    kafka.py OUT_H OUT_C SCHEMA...

An `api` has a request and a response, a `data` is one message alone:

    api NAME key=N versions=A-B flexible=C+|none
        request
            FIELD TYPE [VERSIONS] [default=V] [nullable=VERSIONS] [tag=N]
        response
            ...
    data NAME versions=A-B flexible=C+|none
        FIELD ...

VERSIONS is `3+`, `3-5` or `3`; without it a field has its parent's. TYPE is bool int8 int16 int32 int64 uint16 uuid
string bytes records, the name of a struct whose fields are the lines below, or any of these behind `[]`. A `?`
behind the type says that null is allowed wherever the field is. Absent fields get their default: 0, empty or null
unless `default=` says otherwise (`default=null` for arrays and structs). A tag makes the field a tagged one.

The C names: kafka_NAME_request_t, kafka_NAME_request_STRUCT_t and so on. wire/kafka.h interprets the shapes.
"""
import os
import re
import sys
from dataclasses import dataclass, field

import grammar

FOREVER = 127
SCALARS = {
    'bool': ('bool', 'BOOL'), 'int8': ('int8_t', 'INT8'), 'int16': ('int16_t', 'INT16'), 'int32': ('int32_t', 'INT32'),
    'int64': ('int64_t', 'INT64'), 'uint16': ('uint16_t', 'UINT16'), 'uuid': ('kafka_uuid_t', 'UUID'),
    'string': ('bytes_t', 'STRING'), 'bytes': ('bytes_t', 'BYTES'), 'records': ('kafka_records_t', 'RECORDS'),
}
NULLABLE = {'string', 'bytes', 'records'}


@dataclass
class Field:
    name: str
    type: str  # a scalar's name, or 'struct'
    array: bool
    since: int
    until: int
    nullable_since: int
    default: str
    tag: int
    struct: object = None
    node: object = None

    @property
    def pointer(self):
        """A struct that may be null is kept behind a pointer."""
        return self.type == 'struct' and not self.array and self.nullable_since != FOREVER


@dataclass
class Struct:
    name: str  # kafka_produce_request_topic
    fields: list = field(default_factory=list)


@dataclass
class Message:
    name: str
    versions: tuple
    flexible: int
    structs: list  # inner ones first, the message's own last


@dataclass
class Api:
    name: str
    key: int
    versions: tuple
    flexible: int
    request: Message
    response: Message


def parse_range(node, text, end=FOREVER):
    match = re.fullmatch(r'(\d+)(\+|-(\d+))?', text)
    if not match:
        node.fail(f"'{text}' is not a version range (3, 3+ or 3-5)")
    since = int(match[1])
    until = end if match[2] == '+' else int(match[3]) if match[3] else since
    if until < since:
        node.fail(f"the range {text} is empty")
    return since, until


def parse_flexible(node):
    text = node.attrs.get('flexible')
    if text is None:
        node.fail("'flexible=' is missing")
    return FOREVER if text == 'none' else parse_range(node, text)[0]


class Builder:
    """Builds the structs of one message."""

    def __init__(self, prefix):
        self.prefix, self.structs, self.names = prefix, [], set()

    def struct(self, node, name, parent_range):
        if name in self.names:
            node.fail(f"two structs are called '{name}'")
        self.names.add(name)
        made = Struct(name)
        for child in node.children:
            made.fields.append(self.field(child, parent_range))
        seen = set()
        for each in made.fields:
            if each.name in seen:
                each.node.fail(f"two fields are called '{each.name}'")
            seen.add(each.name)
        made.fields.sort(key=lambda f: f.tag if f.tag >= 0 else -1)  # stable: tagged ones last, ascending
        self.structs.append(made)
        return made

    def field(self, node, parent_range):
        node.only_attrs('default', 'nullable', 'tag')
        if len(node.words) not in (2, 3):
            node.fail('a field is NAME TYPE [VERSIONS]')
        name, kind = node.words[:2]
        since, until = parse_range(node, node.words[2]) if len(node.words) == 3 else parent_range
        nullable_since = FOREVER
        if kind.endswith('?'):
            kind, nullable_since = kind[:-1], since
        if 'nullable' in node.attrs:
            nullable_since = parse_range(node, node.attrs['nullable'])[0]
        array = kind.startswith('[]')
        kind = kind[2:] if array else kind
        made = Field(name, kind if kind in SCALARS else 'struct', array, since, until, nullable_since,
                     node.attrs.get('default', ''), int(node.attrs.get('tag', '-1')), None, node)
        if made.type == 'struct':
            if not node.children:
                node.fail(f"unknown type '{kind}' (or a struct without fields)")
            made.struct = self.struct(node, f'{self.prefix}_{kind}', (since, until))
        elif node.children:
            node.fail(f"a {kind} has no fields")
        elif nullable_since != FOREVER and not array and kind not in NULLABLE:
            node.fail(f"a {kind} cannot be null")
        if array and kind == 'records':
            node.fail('records do not come in arrays')
        self.check_default(made)
        return made

    def check_default(self, made):
        text = made.default
        if text in ('', 'true') or (made.type.startswith('int') and re.fullmatch(r'-?\d+', text) and not made.array):
            return
        if text == 'null' and (made.array or made.pointer) and made.nullable_since != FOREVER:
            return
        made.node.fail(f"default '{text}' does not fit")


def build_message(node, name, versions, flexible):
    builder = Builder(name)
    builder.struct(node, name, (0, FOREVER))
    return Message(name, versions, flexible, builder.structs)


def load(paths):
    apis, messages = [], []
    for path in sorted(paths):
        for node in grammar.parse(path):
            if node.kind not in ('api', 'data') or len(node.words) != 2:
                node.fail("expected 'api NAME' or 'data NAME'")
            node.only_attrs('key', 'versions', 'flexible')
            name, versions, flexible = node.words[1], parse_range(node, node.attrs['versions']), parse_flexible(node)
            if node.kind == 'data':
                messages.append(build_message(node, f'kafka_{name}', versions, flexible))
                continue
            if [child.kind for child in node.children] != ['request', 'response']:
                node.fail('an api has a request and a response')
            pair = [build_message(child, f'kafka_{name}_{child.kind}', versions, flexible) for child in node.children]
            messages += pair
            apis.append(Api(name, int(node.attrs['key']), versions, flexible, *pair))
    return sorted(apis, key=lambda api: api.key), messages


def c_member(f):
    kind = f'{f.struct.name}_t' if f.struct else SCALARS[f.type][0]
    if f.array:
        return f'    {kind} *{f.name};\n    int32_t {f.name}_count;\n'
    return f'    {kind} {"*" if f.pointer else ""}{f.name};\n'


def c_struct(struct, message):
    n = struct.name
    text = f'typedef struct {n} {{\n' + ''.join(c_member(f) for f in struct.fields)
    text += ('' if struct.fields else '    uint8_t nothing;\n') + f'}} {n}_t;\n'
    text += f'extern const kafka_shape_t {n}_shape;\n'
    text += f'static inline void {n}_init({n}_t *m) {{ kafka_init(&{n}_shape, m); }}\n'
    if struct is not message.structs[-1]:
        text += (f'static inline {n}_t *{n}_array(arena_t *arena, int32_t count)\n'
                 f'{{\n    return kafka_array_new(&{n}_shape, arena, count);\n}}\n\n')
        return text
    text += (f'static inline MUST_CHECK int {n}_decode(kafka_reader_t *r, int16_t version, arena_t *arena, {n}_t *m)\n'
             f'{{\n    return kafka_decode(r, &{n}_shape, version, arena, m);\n}}\n'
             f'static inline void {n}_encode(kafka_writer_t *w, int16_t version, const {n}_t *m)\n'
             f'{{\n    kafka_encode(w, &{n}_shape, version, m);\n}}\n\n')
    return text


def has_default(struct):
    """Whether a zeroed struct is not yet the default one."""
    return any(f.default or (f.struct and not f.array and not f.pointer and has_default(f.struct))
               for f in struct.fields)


def c_field(struct, f):
    default = {'': '0', 'null': '-1', 'true': '1'}.get(f.default, f.default)
    if default == '-2147483648':
        default = 'INT32_MIN'
    shape = f'&{f.struct.name}_shape' if f.struct else 'NULL'
    kind = 'STRUCT' if f.struct else SCALARS[f.type][1]
    flags = ' | '.join(name for name, on in (('KAFKA_FIELD_ARRAY', f.array), ('KAFKA_FIELD_POINTER', f.pointer)) if on)
    return (f'    {{"{f.name}", {shape}, {default}, offsetof({struct.name}_t, {f.name}), KAFKA_TYPE_{kind}, '
            f'{flags or 0}, {f.since}, {f.until}, {f.nullable_since}, {f.tag}}},\n')


def c_shape(struct, message):
    n = struct.name
    text = f'static const kafka_field_t {n}_fields[] = {{\n' + ''.join(c_field(struct, f) for f in struct.fields)
    text += ('' if struct.fields else '    {0}\n') + '};\n'
    text += (f'const kafka_shape_t {n}_shape = {{"{n}", {n}_fields, sizeof({n}_t), {len(struct.fields)}, '
             f'{message.flexible}, {int(not has_default(struct))}}};\n\n')
    return text


def camel(name):
    return ''.join(word.capitalize() for word in name.split('_'))


HEAD = """/* Generated by tools/gen/kafka.py from schema/kafka. Edit the schema, not this. */
"""


def header(apis, messages):
    text = HEAD + '#ifndef KAFKA_SCHEMA_H\n#define KAFKA_SCHEMA_H\n\n#include "wire/kafka.h"\n\n'
    text += '/* X(ENUMERATOR, name, key, version_min, version_max, flexible_since) */\n#define KAFKA_API_MAP(X)'
    for api in apis:
        text += f' \\\n    X({api.name.upper()}, {api.name}, {api.key}, {api.versions[0]}, {api.versions[1]}, {api.flexible})'
    text += '\n\nenum {\n' + ''.join(f'    KAFKA_API_{api.name.upper()} = {api.key},\n' for api in apis)
    text += f'    KAFKA_API_KEY_MAX = {max(api.key for api in apis)},\n}};\n\n'
    text += f'#define KAFKA_APIS_COUNT {len(apis)}\n/* In the order of their keys. */\n'
    text += 'extern const kafka_api_t kafka_apis[KAFKA_APIS_COUNT];\n'
    text += f'#define KAFKA_MESSAGES_COUNT {len(messages)}\n/* Every message with its range of versions, for tests. */\n'
    text += 'extern const kafka_message_t kafka_messages[KAFKA_MESSAGES_COUNT];\n\n'
    for message in messages:
        text += ''.join(c_struct(struct, message) for struct in message.structs)
    return text + '#endif\n'


def source(apis, messages, header_name):
    text = HEAD + f'#include "{header_name}"\n\n'
    for message in messages:
        text += ''.join(c_shape(struct, message) for struct in message.structs)
    text += 'const kafka_api_t kafka_apis[KAFKA_APIS_COUNT] = {\n'
    for api in apis:
        text += (f'    {{{api.key}, {api.versions[0]}, {api.versions[1]}, {api.flexible}, "{camel(api.name)}", "kafka {camel(api.name)}", '
                 f'&{api.request.name}_shape, &{api.response.name}_shape}},\n')
    text += '};\n\nconst kafka_message_t kafka_messages[KAFKA_MESSAGES_COUNT] = {\n'
    text += ''.join(f'    {{&{m.name}_shape, {m.versions[0]}, {m.versions[1]}}},\n' for m in messages)
    return text + '};\n'


def main():
    out_h, out_c, *paths = sys.argv[1:]
    apis, messages = load(paths)
    with open(out_h, 'w', encoding='utf-8') as out:
        out.write(header(apis, messages))
    with open(out_c, 'w', encoding='utf-8') as out:
        out.write(source(apis, messages, os.path.basename(out_h)))


if __name__ == '__main__':
    grammar.run(main)
