"""The `hybrid` command: `tour`, `derive`, `latex`, `report`, `export`, `info`.

Results go to standard output, errors to standard error. Exit codes: 0 done, 1 the input was understood but cannot be
done (an unknown name, a wrong shape, no linker), 2 the command line itself is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from codegen.export import FORMATS, LinkerNotFound
from codegen.target import NAMED
from hybrid import __version__
from hybrid.compiling import compile
from hybrid.errors import HybridError
from hybrid.function import Function, check_name
from hybrid.loading import is_reference, load
from hybrid.machine import machine
from hybrid.parse import define
from hybrid.python_code import python_code
from hybrid.tour import Settings, tour
from hybrid.tour.screen import Screen

Shapes = dict[str, tuple[int, ...]]

KINDS: dict[str, Callable[..., Function]] = {
    "value": lambda function, wrt: function,
    "gradient": Function.gradient,
    "jacobian": Function.jacobian,
    "hessian": Function.hessian,
    "jvp": Function.jvp,
    "vjp": Function.vjp,
    "hvp": Function.hvp,
}
WRITERS: dict[str, Callable[[Function], str]] = {
    "text": str,
    "latex": Function.latex,
    "python": lambda function: python_code(function.program()),
}


class Failure(click.ClickException):
    """An error of this package as the command line shows it: one line, no traceback, exit code 1."""


class Group(click.Group):
    """Shows the package's own errors as messages; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (HybridError, LinkerNotFound) as error:
            raise Failure(str(error)) from error


@contextmanager
def shown(*kinds: type[Exception]) -> Iterator[None]:
    """These errors are messages: a folder that is read-only, a name that C reserves, a linker that fails."""
    try:
        yield
    except kinds as error:
        raise Failure(str(error)) from error


def read_shapes(ctx: click.Context, option: click.Parameter, texts: Sequence[str]) -> Shapes:
    """`q=7`, `a=3,3`, `p=` (a scalar)."""
    shapes = {}
    for text in texts:
        name, equals, lengths = text.partition("=")
        parts = [part.strip() for part in lengths.split(",") if part.strip()]
        if not equals or not name.isidentifier() or not all(part.isdecimal() and int(part) for part in parts):
            raise click.BadParameter(f"{text!r} is no shape; write q=7, a=3,3, or p= for a scalar", ctx, option)
        shapes[name] = tuple(map(int, parts))
    return shapes


source_argument = click.argument("source")
shape_option = click.option(
    "--shape",
    "shapes",
    callback=read_shapes,
    multiple=True,
    metavar="NAME=SHAPE",
    help="Shape of an argument: q=7, a=3,3, p= for a scalar.",
)
name_option = click.option("--name", default=None, help="Name of the function; the default is its own, or f.")
wrt_option = click.option(
    "--wrt", multiple=True, metavar="NAME", help="Differentiate by this argument only; may be repeated."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


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


COMPLETION = 'Completion in bash: eval "$(_HYBRID_COMPLETE=bash_source hybrid)"; zsh and fish likewise.'


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=COMPLETION,
)
@click.version_option(__version__, prog_name="hybrid", message="%(prog)s %(version)s")
def main() -> None:
    """Exact derivatives of a function, as formulas and as verified native kernels.

    A SOURCE is an expression, such as "exp(x*y) + sin(q[0])", or a function in a file or module, such as
    model.py:energy or package.model:energy. Expressions are read by a small parser and never evaluated; a file or
    module is imported, so its top level runs.
    """


@main.command(name="tour")
@click.option(
    "--points",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Contracts of the first example; the second takes a tenth.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder for the files written; the default is a new folder hybrid-tour here.",
)
@click.option("--quick", is_flag=True, help="A tenth of the points.")
@json_option
def tour_command(points: int, output: Path | None, quick: bool, as_json: bool) -> None:
    """Take two real functions through every stage.

    Black-Scholes with 5 first and 25 second derivatives on a million contracts, and the forward kinematics of a
    7-joint arm with its Jacobian and a Hessian: formulas, operation counts, compile time by stage, speed beside NumPy,
    the certificate, and the files written.
    """
    console = Console(highlight=False, quiet=as_json)
    with shown(OSError):
        figures = tour(Screen(console), Settings(points, output, quick))
    if as_json:
        click.echo(json.dumps(figures, indent=2))


@main.command()
@source_argument
@kind_option(None)
@wrt_option
@shape_option
@name_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(WRITERS)),
    default="text",
    show_default=True,
    help="How derivatives are written.",
)
@click.option("--as-derived", is_flag=True, help="Leave derivatives as they come, without simplification.")
@json_option
def derive(
    source: str,
    kinds: Sequence[str],
    wrt: Sequence[str],
    shapes: Shapes,
    name: str | None,
    format_: str,
    as_derived: bool,
    as_json: bool,
) -> None:
    """Write derivatives of SOURCE as text, LaTeX or Python.

    \b
    hybrid derive "exp(x*y) + sin(x)"
    hybrid derive "sum(log(q)**2)" --shape q=7 --of hessian --format latex
    hybrid derive model.py:energy --of jacobian --wrt q --format python
    """
    function = read(source, shapes, name)
    derived = [simplified(item, as_derived) for item in derivatives(function, kinds, wrt)]
    if as_json:
        click.echo(
            json.dumps({"function": describe(function), "derivatives": [describe(d) for d in derived]}, indent=2)
        )
        return
    click.echo("\n\n".join(WRITERS[format_](item).rstrip("\n") for item in derived))


@main.command()
@source_argument
@kind_option("value")
@wrt_option
@shape_option
@name_option
@click.option(
    "--style",
    type=click.Choice(["plain", "equation", "align"]),
    default="plain",
    show_default=True,
    help="For use between dollars, or a numbered environment.",
)
@click.option("--entries", is_flag=True, help="One equation per entry instead of a matrix.")
@click.option("--partial", is_flag=True, help="Name a derivative by its partials instead of ∇f, J, ∇²f.")
@click.option("--document", is_flag=True, help="A whole document that LaTeX can compile.")
def latex(
    source: str,
    kinds: Sequence[str],
    wrt: Sequence[str],
    shapes: Shapes,
    name: str | None,
    style: str,
    entries: bool,
    partial: bool,
    document: bool,
) -> None:
    """Write SOURCE and its derivatives as LaTeX.

    \b
    hybrid latex "exp(-x**2)/sqrt(pi)"
    hybrid latex "x*y*sin(z)" --of value --of hessian --document > f.tex
    """
    function = read(source, shapes, name)
    numbered = "align" if document and style == "plain" else style
    form, lhs = "entries" if entries else "matrix", "partial" if partial else True
    parts = [
        simplified(item, False).latex(style=numbered, form=form, lhs=lhs) for item in derivatives(function, kinds, wrt)
    ]
    click.echo(DOCUMENT % "\n\n".join(parts) if document else "\n\n".join(parts))


DOCUMENT = r"""\documentclass{article}
\usepackage{amsmath,amssymb}
\allowdisplaybreaks
\begin{document}
%s
\end{document}"""


@main.command()
@source_argument
@click.argument("page", type=click.Path(dir_okay=False, path_type=Path))
@wrt_option
@shape_option
@name_option
@click.option("--no-speed", is_flag=True, help="Measure nothing: the page is the same on every run.")
def report(source: str, page: Path, wrt: Sequence[str], shapes: Shapes, name: str | None, no_speed: bool) -> None:
    """Write the derivative sheet of SOURCE as one HTML PAGE.

    Formulas, structure, cost, certificate, speed and code of SOURCE and its derivatives, and the kernel itself as
    WebAssembly with sliders for the inputs. The page needs no network.

    \b
    hybrid report "x**2*sin(y)" sheet.html
    hybrid report model.py:energy energy.html --wrt q
    """
    function = read(source, shapes, name)
    with shown(OSError, ImportError):
        click.echo(function.report(page, wrt=list(wrt) or None, speed=not no_speed))


@main.command()
@source_argument
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@kind_option("value")
@wrt_option
@shape_option
@name_option
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    default=["so", "h"],
    show_default=True,
    help="Files to write; may be repeated.",
)
@click.option(
    "--target", type=click.Choice(["host", *NAMED]), default="host", show_default=True, help="For which machine."
)
@json_option
def export(
    source: str,
    folder: Path,
    kinds: Sequence[str],
    wrt: Sequence[str],
    shapes: Shapes,
    name: str | None,
    formats: Sequence[str],
    target: str,
    as_json: bool,
) -> None:
    """Write SOURCE as files that need no Python.

    SOURCE and the derivatives asked for become one kernel, which is checked before anything is written into FOLDER.

    \b
    hybrid export model.py:energy build --of value --of gradient
    hybrid export "x*exp(y)" build --of hessian --format o --format h --target aarch64
    """
    function = read(source, shapes, name)
    kernel = compile(*derivatives(function, kinds, wrt), name=function.name)
    with shown(OSError, ValueError, RuntimeError):
        paths = kernel.export(folder, formats=formats, target=None if target == "host" else target)
    certificate = kernel.certificate
    if as_json:
        report = {"files": [str(path) for path in paths], "operations": kernel.operations}
        report["certificate"] = None if certificate is None else certificate.to_dict()
        click.echo(json.dumps(report, indent=2))
        return
    for path in paths:
        click.echo(path)
    if certificate is not None:
        click.echo(certificate.headline(), err=True)


@main.command()
@json_option
def info(as_json: bool) -> None:
    """Show this machine, targets and versions."""
    found = machine()
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    vector = f"{found.lanes} float64 per instruction{', fused multiply-add' if found.fma else ''}"
    rows = {
        "hybrid": found.version,
        "python": f"{found.python}, {found.system}",
        "processor": found.processor,
        "code for": f"{found.cpu}, {found.triple}",
        "vectors": vector,
        "threads": str(found.threads),
        "targets": ", ".join(found.targets),
        "packages": ", ".join(f"{name} {version}" for name, version in found.packages.items()),
    }
    for label, text in rows.items():
        click.echo(f"{label:<12}{text}")


# --- sources ----------------------------------------------------------------------------------------------------------
def read(source: str, shapes: Shapes, name: str | None) -> Function:
    """The function meant on the command line: named in a file or module, or an expression."""
    if not is_reference(source):
        return Function.from_definition(define(source, shapes, check_name(name or "f")))
    function = load(source, shapes)
    if name is not None and name != function.name:
        raise click.UsageError(f"--name is for expressions; {source} is called {function.name} already")
    return function


def derivatives(function: Function, kinds: Sequence[str], wrt: Sequence[str]) -> list[Function]:
    chosen = kinds or ["jacobian" if function.shape else "gradient"]
    return [KINDS[kind](function, list(wrt) or None) for kind in dict.fromkeys(chosen)]


def simplified(function: Function, as_derived: bool) -> Function:
    return function if as_derived else function.simplify()


def describe(function: Function) -> dict[str, Any]:
    """A function as plain data."""
    return {
        "name": function.name,
        "arguments": {argument.name: list(argument.shape) for argument in function.arguments},
        "shape": list(function.shape),
        "operations": function.operations(),
        "text": str(function),
        "latex": function.latex(),
        "python": python_code(function.program()),
    }
