"""Functions named on the command line: `folder/file.py:name` or `package.module:name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from hybrid.errors import ArgumentError, HybridError
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

    A `Function` is taken as it is; a plain Python function over NumPy arrays is traced with those of the `shapes` that
    are of its arguments. Raises ArgumentError where there is no such file, module or name, where it is neither, and
    where the user's code fails, with the part of the traceback that is in it.
    """
    place, _, name = reference.rpartition(":")
    module = import_file(Path(place)) if place.endswith(".py") else import_module(place)
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if isinstance(value, Function)]
        plain = [key for key, value in vars(module).items() if defined_in(module, value) and not key.startswith("_")]
        close = difflib.get_close_matches(name, [*known, *plain], 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ArgumentError(f"{place} has no {name!r}{hint}; the Functions there: {', '.join(known) or 'none'}")
    value = getattr(module, name)
    if isinstance(value, Function):
        return value
    if not callable(value) or isinstance(value, type):
        raise ArgumentError(
            f"{reference} is of type {type(value).__name__}; expected a hybrid.Function or a Python function"
        )
    own = own_shapes(value, shapes or {})
    if not own:
        raise ArgumentError(
            f"{reference} is a plain Python function: give the shape of every argument, such as --shape q=7 "
            "(--shape p= for a scalar), or decorate it with @hybrid.function"
        )
    with told(f"{reference} fails when it is traced"):
        return function(**own)(value)


def own_shapes(value: Callable[..., Any], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes of a function's parameters: those of other sources of one command are not its own."""
    try:
        parameters = inspect.signature(value).parameters
    except (ValueError, TypeError):
        return dict(shapes)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or not set(shapes) & set(parameters):
        return dict(shapes)
    return {name: shape for name, shape in shapes.items() if name in parameters}


def defined_in(module: ModuleType, value: object) -> bool:
    return isinstance(value, FunctionType) and value.__module__ == module.__name__


@contextmanager
def told(what: str) -> Iterator[None]:
    """Errors of the user's code as ArgumentErrors that show where in it they arose; those of this package stay."""
    try:
        yield
    except HybridError:
        raise
    except (Exception, SystemExit) as error:
        raise ArgumentError(f"{what}: {shown(error)}") from error


def shown(error: BaseException) -> str:
    """An exception with the frames of its traceback that are in the user's files."""
    if isinstance(error, SystemExit):
        return f"it ended Python (SystemExit: {error.code}); put what a script does under if __name__ == '__main__':"
    package = Path(__file__).parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
        and not {package, Path(importlib.__file__).parent} & set(Path(frame.filename).parents)
    ]
    lines = traceback.format_exception_only(error) if isinstance(error, SyntaxError) else []
    if lines:
        return "".join(lines).rstrip()
    text = "".join(traceback.format_list(frames)).rstrip()
    return f"{type(error).__name__}: {error}" + (f"\n{text}" if text else "")


def import_file(path: Path) -> ModuleType:
    """Run a Python file as a module; its folder is importable while it runs, as for `python file.py`."""
    if not path.is_file():
        raise ArgumentError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"file:{path.resolve()}", path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} cannot be imported as a Python file")
    known = sys.modules.get(spec.name)
    if known is not None:
        return known
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # classes look their module up here
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with told(f"{path} fails when it is imported"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    finally:
        sys.path.remove(folder)
    return module


def import_module(name: str) -> ModuleType:
    """Import a module by name, also from the current folder, as `python -m` does."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with told(f"the module {name} fails when it is imported"):
            try:
                return importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                    raise  # the module is there, but something it imports is not
                raise ArgumentError(f"there is no module {name!r}; write a file as path/to/file.py:name") from error
    finally:
        sys.path.remove(folder)


def examples() -> Path:
    """The folder of the examples that ship with the package: beside it in a checkout, inside it when installed."""
    package = Path(__file__).parent
    inside, beside = package / "examples", package.parent / "examples"
    return inside if inside.is_dir() else beside
