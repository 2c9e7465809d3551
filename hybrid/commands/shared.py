"""What sub-commands share: sources and how they are read, options, output, and how errors are shown."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from codegen.export import LinkerNotFound, write_whole
from hybrid.errors import ArgumentError, HybridError
from hybrid.function import Function, check_name
from hybrid.loading import is_reference, load
from hybrid.parse import LONGEST, define, parse

Shapes = dict[str, tuple[int, ...]]

INTERRUPTED = 130  # as shells report a program that Ctrl-C ended

KINDS: dict[str, Callable[..., Function]] = {
    "value": lambda function, wrt: function,
    "gradient": Function.gradient,
    "jacobian": Function.jacobian,
    "hessian": Function.hessian,
    "jvp": Function.jvp,
    "vjp": Function.vjp,
    "hvp": Function.hvp,
}
SPARSE = ("jacobian", "hessian")


# --- errors -----------------------------------------------------------------------------------------------------------
class Failure(click.ClickException):
    """An error of this package as the command line shows it: a message, no traceback, exit code 1."""


class Group(click.Group):
    """Shows the package's own errors as messages; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (HybridError, LinkerNotFound) as error:
            notes = [f"  ({note})" for note in getattr(error, "__notes__", ())]
            raise Failure("\n".join([str(error), *notes])) from error
        except KeyboardInterrupt:
            click.echo("Interrupted: nothing was written.", err=True)
            ctx.exit(INTERRUPTED)


@contextmanager
def shown(*kinds: type[Exception]) -> Iterator[None]:
    """These errors are messages: a folder that is read-only, a name that C reserves, a linker that fails."""
    try:
        yield
    except kinds as error:
        raise Failure(str(error)) from error


# --- options ----------------------------------------------------------------------------------------------------------
def read_shapes(ctx: click.Context, option: click.Parameter, texts: Sequence[str]) -> Shapes:
    """`q=7`, `a=3,3`, `p=` (a scalar)."""
    shapes: Shapes = {}
    for text in texts:
        name, equals, lengths = text.partition("=")
        parts = [part.strip() for part in lengths.split(",") if part.strip()]
        if not equals or not name.isidentifier() or not all(part.isdecimal() and int(part) for part in parts):
            raise click.BadParameter(f"{text!r} is no shape; write q=7, a=3,3, or p= for a scalar", ctx, option)
        if name in shapes:
            raise click.BadParameter(f"{name} is given two shapes", ctx, option)
        shapes[name] = tuple(map(int, parts))
    return shapes


class Source(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on, and 8.1 will do
    """An expression or a reference to a function; completes files, and the names that a file defines."""

    name = "source"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        file, colon, start = incomplete.partition(":")
        if not colon or not file.endswith(".py"):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(f"{file}:{name}") for name in names_in(Path(file)) if name.startswith(start)]


def names_in(path: Path) -> list[str]:
    """The public names that a Python file defines at its top level; it is read, not run."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return []
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]


source_argument = click.argument("source", type=Source())
shape_option = click.option(
    "--shape",
    "shapes",
    callback=read_shapes,
    multiple=True,
    metavar="NAME=SHAPE",
    help="Shape of an argument: q=7, a=3,3, p= for a scalar. Without, indices such as q[2] show it.",
)
name_option = click.option("--name", default=None, help="Name of an expression's function; the default is f.")
wrt_option = click.option(
    "--wrt", multiple=True, metavar="NAME", help="Differentiate by this argument only; may be repeated."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output on standard output.")
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write to this file instead of standard output; it appears whole or not at all.",
)


def kind_option(default: str | None) -> Callable[[Any], Any]:
    return click.option(
        "--of",
        "kinds",
        type=click.Choice(list(KINDS)),
        multiple=True,
        default=[default] if default else None,
        help="What to derive; may be repeated."
        + ("" if default else " The default is the gradient of a scalar, the Jacobian of anything else."),
        show_default=bool(default),
    )


# --- sources ----------------------------------------------------------------------------------------------------------
def read(source: str, shapes: Shapes, name: str | None) -> Function:
    """The function meant on the command line: an expression, in a file or on standard input, or a reference."""
    [function] = read_all([source], shapes, [name])
    return function


def read_all(sources: Sequence[str], shapes: Shapes, names: Sequence[str | None]) -> list[Function]:
    """The functions of several sources, each with the shapes of its own arguments.

    Raises ArgumentError for a shape of which no source has an argument.
    """
    functions = []
    for source, name in zip(sources, names, strict=True):
        text = text_of(source)
        if text is not None:
            own = {key: shape for key, shape in shapes.items() if key in parse(text, shapes).names}
            functions.append(
                Function.from_definition(define(text, own if len(sources) > 1 else shapes, check_name(name or "f")))
            )
            continue
        function = load(source, shapes)
        if name is not None and name != function.name:
            raise click.UsageError(f"--name is for expressions; {source} is called {function.name} already")
        functions.append(function)
    arguments = {argument.name for function in functions for argument in function.arguments}
    for key in shapes:
        if key not in arguments:
            raise ArgumentError(f"--shape {key}: there is no name {key!r}; the arguments are {', '.join(arguments)}")
    return functions


def text_of(source: str) -> str | None:
    """The text of an expression; None for a reference."""
    if source == "-":
        return sys.stdin.read(LONGEST + 1)
    if source.startswith("@"):
        with shown(OSError, UnicodeDecodeError):
            return Path(source[1:]).read_text(encoding="utf-8")
    return None if is_reference(source) else source


def derivatives(
    function: Function, kinds: Sequence[str], wrt: Sequence[str], *, sparse: bool = False
) -> list[Function]:
    """The derivatives asked for, each kind once; with `sparse`, Jacobians and Hessians are their entries."""
    chosen = kinds or ["jacobian" if function.shape else "gradient"]
    by = list(wrt) or None
    return [
        getattr(function, kind)(by, sparse=True) if sparse and kind in SPARSE else KINDS[kind](function, by)
        for kind in dict.fromkeys(chosen)
    ]


# --- output -----------------------------------------------------------------------------------------------------------
def emit(text: str, output: Path | None) -> None:
    """Text to standard output, or as a whole file."""
    if output is None:
        click.echo(text)
        return
    with shown(OSError):
        write_whole(output, f"{text}\n".encode())


def emit_json(data: Any, output: Path | None = None) -> None:
    emit(json.dumps(data, indent=2, ensure_ascii=False), output)
