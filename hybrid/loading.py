"""Functions named on the command line: `folder/file.py:name` or `package.module:name`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from hybrid.errors import ArgumentError
from hybrid.function import Function, function

Shape = tuple[int, ...]


def is_reference(text: str) -> bool:
    """Whether the text names a function in a file or module, rather than being an expression."""
    place, colon, name = text.rpartition(":")
    dotted = place.removesuffix(".py").replace("/", ".").replace("\\", ".")
    return (
        bool(colon) and name.isidentifier() and (place.endswith(".py") or all(map(str.isidentifier, dotted.split("."))))
    )


def load(reference: str, shapes: Mapping[str, Shape] | None = None) -> Function:
    """The function a reference names. The file or module is imported, so its top level runs.

    A `Function` is taken as it is; a plain Python function over NumPy arrays is traced with the `shapes` of its
    arguments. Raises ArgumentError where there is no such file, module or name, or it is neither.
    """
    place, _, name = reference.rpartition(":")
    module = import_file(Path(place)) if place.endswith(".py") else import_module(place)
    if not hasattr(module, name):
        found = [key for key, value in vars(module).items() if isinstance(value, Function)]
        raise ArgumentError(f"{place} has no {name!r}; the Functions there: {', '.join(found) or 'none'}")
    value = getattr(module, name)
    if isinstance(value, Function):
        return value
    if not callable(value):
        raise ArgumentError(
            f"{reference} is of type {type(value).__name__}; expected a hybrid.Function or a Python function"
        )
    if not shapes:
        raise ArgumentError(
            f"{reference} is a plain Python function: give the shape of every argument, such as --shape q=7 "
            "(--shape p= for a scalar), or decorate it with @hybrid.function"
        )
    return function(**shapes)(value)


def import_file(path: Path) -> ModuleType:
    """Run a Python file as a module; its folder is importable while it runs, as for `python file.py`."""
    if not path.is_file():
        raise ArgumentError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"file:{path.resolve()}", path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # classes look their module up here
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def import_module(name: str) -> ModuleType:
    """Import a module by name, also from the current folder, as `python -m` does."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # the module is there, but something it imports is not
        raise ArgumentError(f"there is no module {name!r}; write a file as path/to/file.py:name") from error
    finally:
        sys.path.remove(str(Path.cwd()))


def examples() -> Path:
    """The folder of the examples that ship with the package: beside it in a checkout, inside it when installed."""
    package = Path(__file__).parent
    inside, beside = package / "examples", package.parent / "examples"
    return inside if inside.is_dir() else beside
