"""The shape of the code base: which way imports go, and what stands at the top level."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("codegen", "hybrid")
TOP_LEVEL = {"pyproject.toml", "hybrid", "codegen", "tests", "examples", "docs", "README.md", "LICENSE", "CHANGELOG.md"}

# What the numeric tape may use of the rest: nothing that knows a symbolic derivative.
TAPE_MAY_IMPORT = ("hybrid.tape", "hybrid.errors", "hybrid.special", "hybrid.special_values")
COMMAND_LINE_ONLY = ("click", "rich")
COMMAND_LINE = ("hybrid.cli", "hybrid.__main__", "hybrid.tour", "hybrid.tour.screen", "hybrid.commands")
OPTIONAL = ("scipy", "torch", "jax", "numba", "casadi", "ziglang", "cyipopt", "dask", "jinja2", "matplotlib")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """The modules an import statement names; of a package, the submodules that are taken from it."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])])
        submodules = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES]
        yield from submodules
        if len(submodules) < len(node.names):
            yield base


def imports_of(module: str) -> set[str]:
    return {name for node in ast.walk(tree(module)) for name in imported(node, module)}


def top(name: str) -> str:
    return name.partition(".")[0]


def of(package: str, name: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def offenders(wrong: Callable[[str], list[str]]) -> dict[str, list[str]]:
    """The imports that `wrong` finds, by module."""
    return {module: found for module in MODULES if (found := wrong(module))}


def test_codegen_does_not_know_hybrid() -> None:
    def wrong(module: str) -> list[str]:
        return [
            name for name in imports_of(module) if of("codegen", module) and (of("hybrid", name) or of("sympy", name))
        ]

    assert not offenders(wrong)


def test_the_tape_shares_nothing_with_the_symbolic_side() -> None:
    def wrong(module: str) -> list[str]:
        own = [name for name in imports_of(module) if of("hybrid.tape", module) and top(name) in (*PACKAGES, "sympy")]
        return [name for name in own if not any(of(allowed, name) for allowed in TAPE_MAY_IMPORT)]

    assert not offenders(wrong)


def test_own_packages_are_imported_at_the_top() -> None:
    def wrong(module: str) -> list[str]:
        functions = [n for n in ast.walk(tree(module)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        inner = [name for f in functions for node in ast.walk(f) for name in imported(node, module)]
        return [name for name in inner if top(name) in PACKAGES]

    assert not offenders(wrong)


def test_what_is_optional_is_imported_on_use() -> None:
    def wrong(module: str) -> list[str]:
        first = [name for node in tree(module).body for name in imported(node, module) if top(name) in OPTIONAL]
        return first + [
            name
            for name in imports_of(module)
            if top(name) in COMMAND_LINE_ONLY and not any(of(allowed, module) for allowed in COMMAND_LINE)
        ]

    assert not offenders(wrong)


def test_third_party_imports_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {text.split(">")[0].split("=")[0] for text in project["dependencies"]}
    used = {top(name) for module in MODULES for node in tree(module).body for name in imported(node, module)}
    assert used - set(sys.stdlib_module_names) - set(PACKAGES) == declared


def test_no_import_cycles() -> None:
    edges = {module: imports_of(module) & set(MODULES) - {module} for module in MODULES}
    while leaves := [module for module, needs in edges.items() if not needs]:
        edges = {module: needs - set(leaves) for module, needs in edges.items() if module not in leaves}
    assert not edges, f"these modules import each other in a circle, or need one that does: {sorted(edges)}"


def test_every_module_says_what_it_is() -> None:
    assert not [module for module in MODULES if not ast.get_docstring(tree(module))]


def test_the_top_level_holds_what_the_design_names() -> None:
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert {name for name in found if not any(fnmatch(name, pattern) for pattern in ignored)} == TOP_LEVEL


def test_the_wheel_holds_every_package() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {module_name(path.parent / "__init__.py") for path in MODULES.values()}
    assert set(setuptools["packages"]) == folders | {"hybrid.examples"}, "list new packages in pyproject.toml"
    assert setuptools["package-dir"] == {"hybrid.examples": "examples"}


def test_the_map_shows_every_module() -> None:
    """docs/architecture.md names each module, or its folder."""
    names = re.findall(r"`([\w*]+(?:\.py|/))`", (ROOT / "docs" / "architecture.md").read_text())

    def shown(path: Path) -> bool:
        file, *folders = path.relative_to(ROOT).parts[:0:-1]
        return any(fnmatch(file, name) or name.rstrip("/") in folders for name in names)

    assert not [m for m, path in MODULES.items() if not path.name.startswith("__") and not shown(path)]


def test_the_scanner_sees_what_it_should() -> None:
    assert "codegen" in map(top, imports_of("hybrid.kernel"))
    assert list(imported(ast.parse("from hybrid import tape, Function").body[0], "hybrid.cli")) == [
        "hybrid.tape",
        "hybrid",
    ]
