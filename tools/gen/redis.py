"""Turns schema/redis/*.schema into redis_commands.h and redis_commands.c: the command table, its perfect hash, and the
data of COMMAND INFO and COMMAND DOCS.

    redis.py OUT.h OUT.c FILE.schema...

A command:

    command LPUSH arity=-3 group=list since=1.0.0 flags=write,denyoom,fast
        summary "Puts elements at the head of a list"
        complexity "O(1) for each element"
        keys index=1 range=0:1:0 flags=RW,INSERT
        arg key key spec=0
        arg element string multiple

`arity` counts the name; negative = at least. `group` also gives the ACL category, flags give theirs (write, readonly,
fast or slow, admin, dangerous, blocking, pubsub); `acl=` adds more. `keys` lines are the key specifications: where they
begin (`index=N` or `keyword=WORD:FROM`) and how they go on (`range=LASTKEY:STEP:LIMIT` or `keynum=IDX:FIRST:STEP`, both
relative to the beginning), with flags RW RO OW RM, ACCESS UPDATE INSERT DELETE, not_key, incomplete, variable_flags.
`arg NAME TYPE [optional] [multiple] [multiple_token]` takes token=, since=, spec=, deprecated=, display=; oneof and block
have `arg` children. A container (CONFIG) has `command` children. deprecated=VERSION replaced_by="..." doc_flags=,
tips=a,b are optional. The handler of CONFIG GET is redis_cmd_config_get; handler=NAME gives another. `traits` is what the
server treats otherwise than other commands (CMD_TRAIT_MAP in command_table.h), `change` how the change feed tells of it.
"""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grammar  # noqa: E402

HASH_BITS = 12
MASK = (1 << 64) - 1
GROUP_ACL = {'generic': 'keyspace', 'string': 'string', 'list': 'list', 'hash': 'hash', 'set': 'set',
             'sorted_set': 'sortedset', 'connection': 'connection', 'transactions': 'transaction', 'scripting': 'scripting',
             'pubsub': 'pubsub', 'server': None, 'bitmap': 'bitmap', 'hyperloglog': 'hyperloglog', 'geo': 'geo',
             'stream': 'stream'}
GROUP_TEXT = {'sorted_set': 'sorted-set'}
COMMAND_ATTRS = ('arity', 'group', 'since', 'flags', 'acl', 'tips', 'deprecated', 'replaced_by', 'doc_flags', 'handler', 'traits',
                 'change')


def text(value):
    return 'NULL' if value is None else '"' + value.replace('\\', '\\\\').replace('"', '\\"') + '"'


def bits(prefix, names):
    return '|'.join(f'{prefix}_{name.upper()}' for name in names) or '0'


def split(value):
    return [word for word in value.split(',') if word] if value else []


def fold(name):
    """The three words of command_fold in command_table.h."""
    raw = name.upper().encode()
    n = len(raw)
    words = [0, 0, 0]
    if n >= 8:
        words[0] = struct.unpack('<Q', raw[:8])[0]
        words[1] = struct.unpack('<Q', raw[n - 8:])[0]
        if n > 16:
            words[2] = struct.unpack('<Q', raw[8:16])[0]
    elif n >= 4:
        words[0] = struct.unpack('<I', raw[:4])[0] | struct.unpack('<I', raw[n - 4:])[0] << 32
    else:
        words[0] = raw[0] | raw[n >> 1] << 8 | raw[n - 1] << 16
    return [word & 0xdfdfdfdfdfdfdfdf for word in words]


def hash_table(names):
    """A factor under which no two names share a slot, and the slots."""
    keys = []
    for name in names:
        words = fold(name)
        keys.append(words[0] ^ (words[1] * 31 & MASK) ^ (words[2] * 131 & MASK) ^ len(name))
    source = random.Random(1)
    while True:
        factor = source.getrandbits(64) | 1
        slots = [(key * factor & MASK) >> (64 - HASH_BITS) for key in keys]
        if len(set(slots)) == len(slots):
            return factor, {slot: index for index, slot in enumerate(slots)}


class Command:
    def __init__(self, node, parent=None):
        node.only_attrs(*COMMAND_ATTRS)
        if node.kind != 'command' or len(node.words) != 2:
            node.fail("expected 'command NAME'")
        for needed in ('arity', 'group', 'since'):
            if needed not in node.attrs:
                node.fail(f"'{needed}=' is missing")
        self.node, self.parent, self.attrs = node, parent, node.attrs
        self.name = node.words[1]
        self.full = f'{parent.name}|{self.name}' if parent else self.name
        self.ident = self.full.lower().replace('|', '_').replace('-', '_').replace('.', '_')
        self.flags = split(self.attrs.get('flags'))
        self.subs, self.keys, self.args, self.docs = [], [], [], {}
        for child in node.children:
            self.add(child)
        if 'summary' not in self.docs:
            node.fail('a summary is missing')

    def add(self, child):
        if child.kind == 'command':
            self.subs.append(Command(child, self))
        elif child.kind == 'keys':
            child.only_attrs('index', 'keyword', 'range', 'keynum', 'flags')
            self.keys.append(child)
        elif child.kind == 'arg':
            self.args.append(child)
        elif child.kind in ('summary', 'complexity') and len(child.words) == 2:
            self.docs[child.kind] = child.words[1]
        else:
            child.fail(f"unexpected '{child.kind}'")

    def handler(self):
        return self.attrs.get('handler') or f'redis_cmd_{self.ident}'

    def acl(self):
        found = set(split(self.attrs.get('acl')))
        if self.attrs['group'] not in GROUP_ACL:
            self.node.fail(f"unknown group '{self.attrs['group']}'")
        # A container has no category but its speed; acl=nogroup keeps a command out of its group's, as the original does.
        if GROUP_ACL[self.attrs['group']] and not self.subs and 'nogroup' not in found:
            found.add(GROUP_ACL[self.attrs['group']])
        found.discard('nogroup')
        found.add('fast' if 'fast' in self.flags else 'slow')
        if 'write' in self.flags:
            found.add('write')
        if 'readonly' in self.flags and 'scripting' not in found:
            found.add('read')
        if 'admin' in self.flags:
            found |= {'admin', 'dangerous'}
        found |= {'pubsub', 'blocking'} & set(self.flags)
        return sorted(found)

    def legacy_keys(self):
        """first, last, step as COMMAND INFO has always told them, and whether that is not the whole truth."""
        first = last = step = 0
        movable = False
        for spec in self.keys:
            if 'index' in spec.attrs and 'range' in spec.attrs:
                begin = int(spec.attrs['index'])
                to, by, limit = (int(n) for n in spec.attrs['range'].split(':'))
                if limit == 0:
                    if first == 0:
                        first, last, step = begin, begin + to if to >= 0 else to, by
                        continue
                    if begin == last + 1:
                        last = begin + to if to >= 0 else to
                        continue
            movable = True
        if 'incomplete' in ','.join(spec.attrs.get('flags', '') for spec in self.keys):
            movable = True  # keys that no specification tells
        return first, last, step, movable


class Writer:
    def __init__(self):
        self.lines = []
        self.next_id = 0

    def arg_table(self, ident, nodes):
        rows = []
        for index, node in enumerate(nodes):
            node.only_attrs('token', 'since', 'spec', 'deprecated', 'display')
            if node.kind != 'arg' or len(node.words) < 3:
                node.fail("expected 'arg NAME TYPE [optional] [multiple] [multiple_token]'")
            a = node.attrs
            inner = 'NULL'
            if node.children:
                inner = f'{ident}_{index}'
                self.arg_table(inner, node.children)
            rows.append(f'    {{{text(node.words[1])}, {text(node.words[2])}, {text(a.get("token"))}, '
                        f'{text(a.get("since"))}, {text(a.get("deprecated"))}, {text(a.get("display"))}, '
                        f'{a.get("spec", -1)}, {bits("ARG", node.words[3:])}, {len(node.children)}, {inner}}},')
        self.lines += [f'static const redis_arg_t {ident}[] = {{', *rows, '};']

    def key_table(self, ident, specs):
        self.lines.append(f'static const redis_key_spec_t {ident}[] = {{')
        for node in specs:
            a = node.attrs
            keyword, index = None, a.get('index', '0')
            if 'keyword' in a:
                keyword, index = a['keyword'].split(':')
            fields = [f'.flags = {bits("KEY", split(a["flags"]))}', f'.index = {index}', f'.keyword = {text(keyword)}']
            if 'range' in a:
                last, step, limit = a['range'].split(':')
                fields.append(f'.last_key = {last}, .step = {step}, .limit = {limit}')
            else:
                keynum, first, step = a['keynum'].split(':')
                fields.append(f'.keynum = true, .keynum_index = {keynum}, .first_key = {first}, .step = {step}')
            self.lines.append('    {' + ', '.join(fields) + '},')
        self.lines.append('};')

    def parts(self, command):
        ident = command.ident
        if command.keys:
            self.key_table(f'keys_{ident}', command.keys)
        if command.args:
            self.arg_table(f'args_{ident}', command.args)
        tips = split(command.attrs.get('tips'))
        if tips:
            self.lines.append(f'static const char *const tips_{ident}[] = {{{", ".join(map(text, tips))}}};')
        if command.subs:
            for sub in command.subs:
                self.parts(sub)
            self.lines.append(f'static const redis_command_t subcommands_{ident}[] = {{')
            self.lines += [self.row(sub) for sub in command.subs]
            self.lines.append('};')

    def row(self, command):
        ident, a = command.ident, command.attrs
        first, last, step, movable = command.legacy_keys()
        flags = command.flags + (['movablekeys'] if movable else [])
        tips = split(a.get('tips'))
        fields = {
            'folded': '{' + ', '.join(f'{word}u' for word in fold(command.name)) + '}',
            'name_len': len(command.name), 'arity': a['arity'],
            'first_key': first, 'last_key': last, 'key_step': step,
            'flags': bits('CMD', flags), 'acl': bits('ACL', command.acl()), 'id': self.next_id,
            'traits': bits('TRAIT', split(a.get('traits'))), 'change': f"CHANGE_{a.get('change', 'keys').upper()}",
            'handler': 'NULL' if command.subs and a['arity'] != '-1' else command.handler(),
            'name': text(command.name.lower()), 'full_name': text(command.full.lower()),
            'turn_note': text('redis ' + command.full.lower()),
            'group': text(GROUP_TEXT.get(a['group'], a['group'])), 'since': text(a['since']),
            'summary': text(command.docs['summary']), 'complexity': text(command.docs.get('complexity')),
        }
        self.next_id += 1
        if command.keys:
            fields.update(key_specs=f'keys_{ident}', key_spec_count=len(command.keys))
        if command.args:
            fields.update(args=f'args_{ident}', arg_count=len(command.args))
        if tips:
            fields.update(tips=f'tips_{ident}', tip_count=len(tips))
        if command.subs:
            fields.update(subcommands=f'subcommands_{ident}', subcommand_count=len(command.subs))
        if command.parent:
            fields['parent'] = f'&redis_commands[{command.parent.index}]'
        for name in ('deprecated', 'replaced_by', 'doc_flags'):
            if name in a:
                fields[name] = text(a[name])
        return '    {' + ', '.join(f'.{name} = {value}' for name, value in fields.items()) + '},'


def handlers(commands):
    for command in commands:
        if not command.subs or command.attrs['arity'] == '-1':
            yield command.handler()
        yield from handlers(command.subs)


def main():
    out_h, out_c, *paths = sys.argv[1:]
    commands = [Command(node) for path in paths for node in grammar.parse(path)]
    seen = {}
    for index, command in enumerate(commands):
        if command.name in seen:
            command.node.fail(f'{command.name} is declared twice')
        seen[command.name] = command
        command.index = index
    writer = Writer()
    for command in commands:
        writer.parts(command)
    rows = [writer.row(command) for command in commands]
    factor, slots = hash_table([command.name for command in commands])
    with open(out_h, 'w', encoding='utf-8') as out:
        out.write('/* Generated from schema/redis. */\n#ifndef REDIS_COMMANDS_H\n#define REDIS_COMMANDS_H\n\n'
                  '#include "redis/exec/command.h"\n#include "redis/exec/command_table.h"\n\n')
        for handler in sorted(set(handlers(commands))):
            out.write(f'void {handler}(redis_call_t *call);\n')
        out.write('\n#endif\n')
    with open(out_c, 'w', encoding='utf-8') as out:
        out.write('/* Generated from schema/redis. */\n#include "redis_commands.h"\n\n')
        out.write('\n'.join(writer.lines) + '\n\nconst redis_command_t redis_commands[] = {\n')
        out.write('\n'.join(rows) + '\n};\n')
        out.write(f'const uint16_t redis_command_count = {len(commands)};\n')
        out.write(f'const uint16_t redis_command_id_count = {writer.next_id};\n')
        out.write(f'const uint64_t redis_command_hash_factor = {factor}u;\n')
        out.write('const uint16_t redis_command_hash[1 << COMMAND_HASH_BITS] = {\n')
        out.write(''.join(f'    [{slot}] = {index + 1},\n' for slot, index in sorted(slots.items())) + '};\n')


if __name__ == '__main__':
    grammar.run(main)
