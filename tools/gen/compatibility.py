"""Writes docs/compatibility.md from the schemas, so that it lists what there is and nothing else.

    compatibility.py ROOT            writes the page
    compatibility.py ROOT --check    fails when the page is not what the schemas say
"""
import pathlib
import sys

import grammar

HEAD = """# What is spoken

Made from `schema/` by `tools/gen/compatibility.py`; a test holds it to the schemas. A command, version or operation that is not
listed is answered as the originals answer an unknown one.
"""


def redis_part(folder):
    text = '\n## Redis: RESP2, RESP3 and inline\n\n| group | commands |\n|---|---|\n'
    count, subcommands = 0, 0
    for path in sorted(folder.glob('*.schema')):
        names = []
        for node in grammar.parse(path):
            if node.kind != 'command':
                continue
            inner = [child.words[1] for child in node.children if child.kind in ('command', 'subcommand')]
            names.append(node.words[1] + (f" ({', '.join(inner)})" if inner else ''))
            count, subcommands = count + 1, subcommands + len(inner)
        if names:
            text += f"| {path.stem.replace('_', ' ')} | {', '.join(names)} |\n"
    bridge = ', '.join(f'`KAFKA.{name}`' for name in ('PRODUCE', 'COMMIT', 'COMMITTED', 'WAIT', 'OUTBOX', 'REROUTE', 'HELP'))
    return text + f'\n{count} commands and {subcommands} subcommands; and {bridge} of the bridge.\n'


def kafka_part(folder):
    rows = []
    for path in folder.glob('*.schema'):
        for node in grammar.parse(path):
            if node.kind == 'api':
                rows.append((int(node.attrs['key']), node.words[1], node.attrs['versions']))
    text = '\n## Kafka: the versions that ApiVersions tells\n\n| key | API | versions |\n|---|---|---|\n'
    for key, name, versions in sorted(rows):
        text += f"| {key} | {''.join(word.capitalize() for word in name.split('_'))} | {versions} |\n"
    return text


def zookeeper_part(path):
    text = '\n## ZooKeeper: the operations of 3.9\n\n| operation | code |\n|---|---|\n'
    for node in grammar.parse(path):
        if node.kind == 'operation':
            text += f"| {node.words[1]} | {node.words[2]} |\n"
    return text


def main():
    root = pathlib.Path(sys.argv[1])
    schema, page = root / 'schema', root / 'docs' / 'compatibility.md'
    text = HEAD + redis_part(schema / 'redis') + kafka_part(schema / 'kafka')
    text += zookeeper_part(schema / 'zookeeper' / 'operations.schema')
    if '--check' not in sys.argv:
        page.write_text(text, encoding='utf-8')
    elif not page.exists() or page.read_text(encoding='utf-8') != text:
        sys.exit('docs/compatibility.md is not what the schemas say: run tools/gen/compatibility.py .')


if __name__ == '__main__':
    grammar.run(main)
