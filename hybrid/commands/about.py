"""`tour`, `info` and `completion`: what there is, and what this machine is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import get_completion_class
from rich.console import Console

from codegen.export import FORMATS
from hybrid.commands.shared import emit_json, json_option, shown
from hybrid.machine import machine
from hybrid.tour import Settings, tour
from hybrid.tour.screen import Screen

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_HYBRID_COMPLETE"
# Of a processor's features, in LLVM's names, those that arithmetic uses; --json has all.
ARITHMETIC = re.compile(r"sse4|avx|fma|f16c|bmi|neon|sve|fullfp16|simd|[vfd]$")


@click.command(name="tour")
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
        emit_json(figures)


@click.command()
@json_option
def info(as_json: bool) -> None:
    """Show this machine, its tools, the targets, the cache and versions.

    With --json: "version", "python", "system", "processor", "cpu", "triple", "lanes", "fma", "features", "threads",
    "targets", "formats", "packages", "tools" (name to path) and "cache" ("folder", "entries", "bytes", "limit").
    """
    found = machine()
    if as_json:
        emit_json({**found.to_dict(), "formats": {name: row.about for name, row in FORMATS.items()}})
        return
    vector = f"{found.lanes} float64 per instruction{', fused multiply-add' if found.fma else ''}"
    cache = "off" if found.cache is None else f"{found.cache.folder}, {found.cache.entries} objects, {found.cache.size}"
    rows = {
        "hybrid": found.version,
        "python": f"{found.python}, {found.system}",
        "processor": found.processor,
        "code for": f"{found.cpu}, {found.triple}",
        "vectors": vector,
        "features": wrapped([name for name in found.features if ARITHMETIC.match(name)])
        or "those of every such machine",
        "threads": str(found.threads),
        "targets": wrapped(found.targets),
        "formats": wrapped(list(FORMATS)),
        "cache": cache,
        "tools": wrapped(list(found.tools)) or "none found",
        "packages": wrapped([f"{name} {version}" for name, version in found.packages.items()]),
    }
    for label, text in rows.items():
        click.echo(f"{label:<12}{text}")


def wrapped(items: Sequence[str], width: int = 88) -> str:
    """Items with commas between, in lines of a width, under each other."""
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) + 2 > width:
            lines[-1] += ","
            lines.append(item)
        else:
            lines[-1] += f", {item}" if lines[-1] else item
    return ("\n" + " " * 12).join(lines)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write what completes `hybrid` commands in a SHELL.

    Options, targets, formats and files are completed, and after model.py: the names that the file defines.

    \b
    bash  echo 'eval "$(hybrid completion bash)"' >> ~/.bashrc
    zsh   echo 'eval "$(hybrid completion zsh)"' >> ~/.zshrc
    fish  hybrid completion fish > ~/.config/fish/completions/hybrid.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"{shell} is not completed")
    click.echo(made(ctx.find_root().command, {}, "hybrid", VARIABLE).source())
