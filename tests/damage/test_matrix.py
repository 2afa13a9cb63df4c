"""Every kind of file, harmed in every way, and a start: the server serves all that it had acknowledged, or refuses with a line
that names the file. Never quietly less.

A torn tail is the one thing that may cost something: the last write, and then with a warning that names the file. A start
that is refused leaves the data as it was; one that goes on keeps a copy of what it cuts.
"""

import pathlib
import shutil

import pytest

from harness.process import ServerError
from harness.trivet import Trivet

from .harms import HARMS
from .ledgers import LEDGERS, Offline

SHORT = [  # the others wait for the long form
    "flip at 10 %", "flip at 50 %", "cut to 50 %", "cut by 7 bytes", "zeroed", "a page zeroed", "emptied", "removed",
    "random bytes", "another's file", "swapped",
]  # fmt: skip


def serve(ledger, data):
    return Trivet({ledger.wing: ledger.directives}, data=data)


class Template:
    """A data directory as a server left it that was stopped or killed, and the promises made for it."""

    def __init__(self, name, ending, base):
        self.ledger = LEDGERS[name]()
        self.data = base / f"{name}-{ending}"
        server = serve(self.ledger, self.data).start()
        try:
            self.ledger.fill(server)
        finally:
            server.stop() if ending == "stopped" else server.kill9()


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    made, base = {}, tmp_path_factory.mktemp("damage")

    def of(name, ending):
        if (name, ending) not in made:
            made[name, ending] = Template(name, ending, base)
        return made[name, ending]

    yield of
    shutil.rmtree(base, ignore_errors=True)


def contents(ledger, data):
    files = (path for path in sorted((data / ledger.folder).rglob("*")) if path.is_file())
    return {path.relative_to(data): path.read_bytes() for path in files if not ledger.derived(path)}


def names(text, path, other=None):
    named = path.name in text or (other is not None and other.name in text)
    return named or (not path.exists() and f"there is no {path.suffix} file" in text)


def judge(ledger, data, path, foreign, harm):
    """None when the start was right or refused as it should be; else what was wrong."""
    before = contents(ledger, data)
    server = serve(ledger, data)
    try:
        server.start()
    except ServerError:
        text = server.log_tail(50)
        changed = [str(name) for name, kept in before.items() if (data / name).read_bytes() != kept]
        if changed:
            return f"refused, but changed {changed}"
        return None if "trivet:" in text and names(text, path, foreign) else f"refused without naming the file:\n{text}"
    try:
        missing = ledger.missing(server)
        text = server.log_tail(50)
    except Offline:
        text = server.log_tail(50)
        return None if names(text, path) or names(text, path.parent) else f"offline, and no line says why:\n{text}"
    finally:
        server.kill9()
    if not missing:
        return None
    if len(missing) <= ledger.torn(path, harm) and "warn" in text and names(text, path):
        return None
    return f"{len(missing)} of {len(ledger.promised)} are missing ({missing[:3]} …); it said:\n{text}"


def cases(ledger, data, harms):
    share = getattr(ledger, "short_share", 1) if harms is SHORT else 1
    for place, (path, foreign) in enumerate(ledger.files(data)):
        for number, harm in enumerate(harms):
            if not ledger.exempt(path, harm) and (place + number) % share == 0:
                yield path.relative_to(data), foreign and foreign.relative_to(data), harm


def run_cases(template, scratch, harms):
    wrong, count = [], 0
    for path, foreign, harm in cases(template.ledger, template.data, harms):
        data = scratch / "data"
        shutil.copytree(template.data, data)
        if HARMS[harm](data / path, foreign and data / foreign) is not False:
            count += 1
            problem = judge(template.ledger, data, data / path, foreign, harm)
            if problem:
                wrong.append(f"{path}, {harm}: {problem}")
        shutil.rmtree(data)
        (scratch / "data.log").unlink(missing_ok=True)
    assert count > 0
    assert not wrong, f"{len(wrong)} of {count} cases:\n" + "\n".join(wrong)


@pytest.mark.trivet_only
@pytest.mark.parametrize("name", list(LEDGERS))
def test_harmed_after_a_kill_it_is_right_or_refused(templates, tmp_path, name):
    run_cases(templates(name, "killed"), tmp_path, SHORT)


@pytest.mark.soak
@pytest.mark.trivet_only
@pytest.mark.parametrize("ending", ["killed", "stopped"])
@pytest.mark.parametrize("name", list(LEDGERS))
def test_harmed_in_every_way_it_is_right_or_refused(templates, tmp_path, name, ending):
    run_cases(templates(name, ending), tmp_path, list(HARMS))
