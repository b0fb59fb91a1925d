"""Rules over single files: no print, no pickle, no eval, no vague names, no long file without its reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .sources import calls, files, python_files, text

VAGUE = {"utils", "util", "helpers", "helper", "misc", "core", "manager", "common"}
LONGEST = 350
LONG_REASON = re.compile(r"(#|//|/\*) Long: \w+")
# Written in two halves, so that this file does not break its own rule.
SOMEONES_MACHINE = re.compile(r"(?<![\w.:/-])(/(?:home|Users)/\w+/|/(?:root|" + r"work)/\w|[A-Z]:\\Users\\)")
# Loading a picture is PIL's, a class table is ours; these run what a file says.
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READERS = {"load", "loads", "open", "Unpickler"}


def dotted(call: ast.Call) -> str:
    """ "torch.load" of torch.load(...), "" of anything that is not a plain dotted name."""
    return ast.unparse(call.func) if isinstance(call.func, ast.Name | ast.Attribute) else ""


def option(call: ast.Call, name: str) -> object:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
    return None


def test_the_engine_and_the_nodes_do_not_print() -> None:
    broken = [
        f"{name}:{call.lineno}"
        for name in python_files("nodes", "pipelines")
        for call in calls(name)
        if dotted(call) == "print"
    ]
    assert not broken, f"print() instead of logging: {broken}"


def test_no_file_runs_what_a_data_file_says() -> None:
    broken = []
    for name in python_files():
        for call in calls(name):
            called = dotted(call)
            module, _, function = called.rpartition(".")
            unpickles = module.partition(".")[0] in UNPICKLERS and function in READERS
            # A test or a benchmark may read what it wrote itself a moment ago, when it says so.
            safe = (True, False) if name.startswith(("tests/", "benchmarks/")) else (True,)
            loads_freely = called == "torch.load" and option(call, "weights_only") not in safe
            allows = option(call, "allow_pickle") is True or option(call, "trust_remote_code") is True
            if called in {"eval", "exec", "compile"} or unpickles or loads_freely or allows:
                broken.append(f"{name}:{call.lineno} {ast.unparse(call)[:70]}")
    assert not broken, "\n" + "\n".join(broken)


def test_no_file_has_a_name_that_says_nothing() -> None:
    code = [name for name in files() if name.endswith((".py", ".js", ".mjs", ".sh"))]
    broken = [name for name in code if {part.split(".")[0].strip("_") for part in Path(name).parts} & VAGUE]
    assert not broken, f"a file or folder is called after nothing: {broken}"


def test_long_files_say_why() -> None:
    broken = []
    for name in files():
        if name.endswith((".py", ".js", ".mjs")):
            lines = text(name).splitlines()
            if len(lines) > LONGEST and not LONG_REASON.match(lines[0]):
                broken.append(f"{name}: {len(lines)} lines")
    hint = f"split it, or let its first line say why: '# Long: one table, no logic' (limit {LONGEST})"
    assert not broken, f"{hint}\n" + "\n".join(broken)


def test_no_tracked_file_names_a_developers_machine() -> None:
    broken = []
    for name in files():
        data = Path(__file__).resolve().parents[2].joinpath(name).read_bytes()
        if b"\0" in data[:8192] or data[:4] == b"%PDF":
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if found := SOMEONES_MACHINE.search(line):
                broken.append(f"{name}:{number} {found[0]}")
    assert not broken, "\n" + "\n".join(broken)


def test_the_rules_see_what_they_forbid() -> None:
    """The rules on a line that breaks them: a rule that can't fail holds nothing."""
    call = ast.parse("torch.load(path)").body[0].value
    assert dotted(call) == "torch.load" and option(call, "weights_only") is None
    assert option(ast.parse("torch.load(path, weights_only=True)").body[0].value, "weights_only") is True
    assert SOMEONES_MACHINE.search("open('/" + "home/ann/x.png')") and not SOMEONES_MACHINE.search("a/work/b")
    assert len(python_files()) > 20
