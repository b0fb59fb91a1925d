"""Rules over single files: no print, no pickle, no eval, no vague names, no long file without its reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .sources import calls, files, python_files, text, tree

VAGUE = {"utils", "util", "helpers", "helper", "misc", "core", "manager", "common"}
LONGEST = 350
LONG_REASON = re.compile(r"(#|//|/\*) Long: \w+")
# Written in two halves, so that this file does not break its own rule.
SOMEONES_MACHINE = re.compile(r"(?<![\w.:/-])(/(?:home|Users)/\w+/|/(?:root|" + r"work)/\w|[A-Z]:\\Users\\)")
# Loading a picture is PIL's, a class table is ours; these run what a file says.
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READERS = {"load", "loads", "open", "Unpickler"}
# NVIDIA's networks exist as pickles only. One file reads them, through a find_class that answers from a list of its own and
# never asks the inherited one, which is what would import a name and hand a pickle something to call.
LISTED_UNPICKLERS = {"pipelines/gan/nvidia.py"}


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


def unpicklers(tree: ast.AST) -> list[ast.ClassDef]:
    """Classes made from an unpickler, by whatever name it goes."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Unpickler" in ast.unparse(base) for base in node.bases)
    ]


def answers_from_a_list(made: ast.ClassDef) -> bool:
    """Whether the class has its own find_class, and nothing in it asks the inherited one or imports."""
    own = any(isinstance(node, ast.FunctionDef) and node.name == "find_class" for node in made.body)
    said = [ast.unparse(node) for node in ast.walk(made) if isinstance(node, ast.Attribute | ast.Name)]
    asks = [text for text in said if text.endswith(".find_class") or "import" in text or text == "persistent_load"]
    return own and not asks and not any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(made))


def test_only_one_file_reads_pickles_and_by_a_list_of_names() -> None:
    broken = [
        f"{name}:{made.lineno} class {made.name}"
        for name in python_files()
        for made in unpicklers(tree(name))
        if name not in LISTED_UNPICKLERS or not answers_from_a_list(made)
    ]
    assert not broken, f"an unpickler that may call what a file says: {broken}"
    assert all(unpicklers(tree(name)) for name in LISTED_UNPICKLERS), "the list of unpicklers names a file without one"


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
    asking = "class R(pickle.Unpickler):\n    def find_class(self, m, n):\n        return super().find_class(m, n)"
    listed = "class R(pickle.Unpickler):\n    def find_class(self, m, n):\n        return TABLE[m, n]"
    bare = "class R(P.Unpickler):\n    pass"
    assert [answers_from_a_list(unpicklers(ast.parse(text))[0]) for text in (asking, listed, bare)] == [
        False,
        True,
        False,
    ]
    assert len(python_files()) > 20
