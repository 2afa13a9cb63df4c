"""The one grammar of schema/: lines of words, nested by indentation.

    # a comment
    message Produce request key=0 versions=0-12 flexible=9+
        acks int16
        topics [] 0+

A line is words and `name=value` attributes; "double quotes" keep spaces in one word. Lines that are indented more
belong to the line above them. Every back end (redis.py, kafka.py, jute.py) reads its files through `parse`.
"""
import re
import sys
from dataclasses import dataclass, field

TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')


class SchemaError(Exception):
    pass


@dataclass
class Node:
    file: str
    line: int
    words: list
    attrs: dict
    children: list = field(default_factory=list)

    @property
    def kind(self):
        return self.words[0]

    def fail(self, message):
        raise SchemaError(f"{self.file}:{self.line}: {message}")

    def only_attrs(self, *allowed):
        for name in self.attrs:
            if name not in allowed:
                self.fail(f"unknown attribute '{name}' (allowed: {', '.join(allowed) or 'none'})")


def _unquote(word):
    return re.sub(r'\\(.)', r'\1', word.replace('\\"', '\0').replace('"', '').replace('\0', '\\"'))


def _strip_comment(line):
    quoted = False
    for i, c in enumerate(line):
        if c == '"' and (i == 0 or line[i - 1] != '\\'):
            quoted = not quoted
        elif c == '#' and not quoted and (i == 0 or line[i - 1].isspace()):
            return line[:i]
    return line


def parse(path):
    """The file's top-level nodes."""
    top, stack = [], []
    with open(path, encoding='utf-8') as source:
        for number, raw in enumerate(source, 1):
            text = _strip_comment(raw.rstrip('\n'))
            if not text.strip():
                continue
            if '\t' in text:
                raise SchemaError(f"{path}:{number}: tab in schema (indent with spaces)")
            indent = len(text) - len(text.lstrip())
            words, attrs = [], {}
            for token in TOKEN.findall(text):
                name, eq, value = token.partition('=')
                if eq and re.fullmatch(r'[a-z_]+', name):
                    attrs[name] = _unquote(value)
                else:
                    words.append(_unquote(token))
            node = Node(path, number, words, attrs)
            if not words:
                node.fail("a line needs a word before its attributes")
            while stack and stack[-1][0] >= indent:
                stack.pop()
            (stack[-1][1].children if stack else top).append(node)
            stack.append((indent, node))
    return top


def run(main):
    """Runs a back end's main, turning a schema mistake into one clear line."""
    try:
        main()
    except SchemaError as error:
        sys.exit(f"schema error: {error}")
