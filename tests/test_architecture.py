"""The rules of docs' architecture that a look at the source can check; import-linter checks the floors."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aigw

ROOT = Path(aigw.__file__).parent
MODULES = {
    ".".join(["aigw", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in MODULES.items()}
PURE = ("model", "dialects", "providers", "routing", "balancing", "errors")
"""The lowest floor: values and decisions, without Twisted, I/O, a clock or dice."""
IMPURE = {
    "asyncio",
    "http",
    "klein",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
    "ssl",
    "threading",
    "time",
    "treq",
    "twisted",
    "zope",
}
REACTOR = "twisted.internet.reactor"
BROAD = {"Exception", "BaseException"}
EDGES = ("admin", "proxy", "net.reactor")
"""Where a bug meets something that must go on: a request's answer, the event loop."""
NEVER_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
LONGEST_FILE = 350


def imports_in(node: ast.AST) -> Iterator[tuple[str, int]]:
    """What is imported anywhere inside: each dotted name (of ``from a import b``: a.b), and its line."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from ((alias.name, inner.lineno) for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            yield from ((f"{inner.module}.{alias.name}", inner.lineno) for alias in inner.names)


def imports_at_once(node: ast.AST) -> Iterator[tuple[str, int]]:
    """What is imported when the module is, and not when a function is called or a type is checked."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from imports_in(child)
        else:
            yield from imports_at_once(child)


def is_in(module: str, *packages: str) -> bool:
    return any(module == f"aigw.{package}" or module.startswith(f"aigw.{package}.") for package in packages)


def names(imported: str, what: str) -> bool:
    return imported == what or imported.startswith(f"{what}.")


def test_nobody_imports_the_reactor_while_being_imported() -> None:
    found = [m for m, tree in TREES.items() for name, _ in imports_at_once(tree) if names(name, REACTOR)]
    assert found == []


def test_the_reactor_is_named_by_few() -> None:
    found = {m for m, tree in TREES.items() for name, _ in imports_in(tree) if names(name, REACTOR)}
    assert found <= {"aigw.tap", "aigw.demo.__main__", "aigw.workers.__main__"}


@pytest.mark.parametrize(("package", "where"), [("twisted.web.proxy", ()), ("klein", ("admin",))])
def test_what_installs_a_reactor_is_kept_out(package: str, where: tuple[str, ...]) -> None:
    found = {m for m, tree in TREES.items() for name, _ in imports_in(tree) if names(name, package)}
    assert {module for module in found if not is_in(module, *where)} == set()


def test_the_admin_face_is_imported_when_it_is_built_and_not_before() -> None:
    others = {module: tree for module, tree in TREES.items() if not is_in(module, "admin")}
    found = [m for m, tree in others.items() for name, _ in imports_at_once(tree) if names(name, "aigw.admin")]
    assert found == []


def test_the_lowest_floor_is_pure() -> None:
    pure = {module: tree for module, tree in TREES.items() if is_in(module, *PURE)}
    assert len(pure) > len(PURE)
    found = [f"{module}:{line}: {name}" for module, tree in pure.items() for name, line in imports_in(tree)]
    assert [it for it in found if any(names(it.split(": ")[1], impure) for impure in IMPURE)] == []


def test_no_module_is_called_what_any_module_could_be_called() -> None:
    assert [module for module in TREES if not NEVER_NAMES.isdisjoint(module.split("."))] == []


def test_every_module_opens_with_what_it_is() -> None:
    assert [module for module, tree in TREES.items() if tree.body and not ast.get_docstring(tree)] == []


def test_files_are_short() -> None:
    lengths = {module: len(path.read_text("utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > LONGEST_FILE} == {}


def test_deferreds_are_awaited() -> None:
    found = [m for m, tree in TREES.items() for name, _ in imports_in(tree) if name.endswith(".inlineCallbacks")]
    assert found == []


def test_only_the_edges_catch_everything() -> None:
    found = {
        module
        for module, tree in TREES.items()
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler)
    }
    assert {module for module in found if not is_in(module, *EDGES)} == set()


def _is_broad(handler: ast.ExceptHandler) -> bool:
    """And does not raise again what it has caught?"""
    broad = handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id in BROAD)
    return broad and not isinstance(handler.body[-1], ast.Raise)


def test_no_text_that_came_from_outside_is_a_log_format() -> None:
    found = [
        f"{module}:{call.lineno}"
        for module, tree in TREES.items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _is_log(call.func) and any(isinstance(a, ast.JoinedStr) for a in call.args)
    ]
    assert found == []


def _is_log(function: ast.expr) -> bool:
    value = function.value if isinstance(function, ast.Attribute) else None
    name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
    return name in {"log", "_log"}


def run(code: str) -> str:
    """What code prints in a fresh process."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_tap_module_installs_no_reactor() -> None:
    assert run("import aigw.tap, sys; print('twisted.internet.reactor' in sys.modules)") == "False"


def test_the_options_import_nothing_slow() -> None:
    """``twistd --help`` reads no more of aigw than the plugin file; the options need no web server."""
    found = run("import aigw.tap, sys; print(sorted({'klein', 'treq', 'aigw.app', 'aigw.service'} & set(sys.modules)))")
    assert found == "[]"


def test_importing_everything_but_the_admin_face_installs_no_reactor() -> None:
    modules = [m for m in MODULES if not is_in(m, "admin") and not m.endswith("__main__")]
    code = f"import importlib, sys; [importlib.import_module(m) for m in {modules!r}]"
    assert run(f"{code}; print('twisted.internet.reactor' in sys.modules)") == "False"
