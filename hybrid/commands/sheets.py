"""`report`: derivative sheets, a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hybrid.commands.shared import Shapes, name_option, read, shape_option, shown, source_argument, wrt_option


@click.command()
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
