"""`export` and `check`: functions as files, and files beside their functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from codegen.export import FORMATS
from codegen.target import GPUS, NAMED
from hybrid.checking import Checked, check_bundle
from hybrid.commands.shared import (
    Shapes,
    Source,
    derivatives,
    emit_json,
    json_option,
    kind_option,
    read_all,
    shape_option,
    shown,
    wrt_option,
)
from hybrid.compiling import compile
from hybrid.function import Function, check_name
from hybrid.loading import is_reference
from hybrid.progress import Stages
from hybrid.reduced import REDUCTIONS

TARGETS = ("portable", "host", *NAMED, *GPUS)
EPILOG = "\b\nFormats:\n" + "\n".join(f"  {name:<8} {row.about}" for name, row in FORMATS.items())


@click.command(epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, type=Source(), metavar="SOURCE...")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@kind_option("value")
@click.option("--sparse", is_flag=True, help="Jacobians and Hessians as the entries that can be non-zero, with tables.")
@wrt_option
@shape_option
@click.option("--name", default=None, help="Name of the bundle, a C identifier; the default is the first function's.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    default=["so", "h"],
    show_default=True,
    metavar="FORMAT",
    help="Files to write, of the formats below; may be repeated.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="portable",
    show_default=True,
    metavar="TARGET",
    help="For which machine: portable (any like this one), host (this very processor), or a name of `hybrid info`.",
)
@click.option("--float32", is_flag=True, help="All numbers of the files in float32, which is checked on its own.")
@click.option("--size", is_flag=True, help="Code that is small before it is fast.")
@click.option("--reduce", type=click.Choice(list(REDUCTIONS)), default=None, help="Reduce results over the points.")
@click.option("--shared", multiple=True, metavar="NAME", help="With --reduce: an argument that is the same for all.")
@json_option
def export(
    sources: Sequence[str],
    folder: Path,
    kinds: Sequence[str],
    sparse: bool,
    wrt: Sequence[str],
    shapes: Shapes,
    name: str | None,
    formats: Sequence[str],
    target: str,
    float32: bool,
    size: bool,
    reduce: str | None,
    shared: Sequence[str],
    as_json: bool,
) -> None:
    """Write functions as files that need no Python.

    The SOURCEs and the derivatives asked for of each become one kernel, which is checked before anything is written
    into FOLDER. All files appear together, or none; a manifest, NAME.manifest.json, comes with them.

    \b
    hybrid export model.py:energy build --of value --of gradient
    hybrid export model.py:cost model.py:limits build --of value --of jacobian --sparse --name problem
    hybrid export "x*exp(y)" build --of hessian --format o --format h --target aarch64
    hybrid export "x*exp(y)" build --format python --format whl

    With --json: "files", "name", "target", "operations" and "certificate".
    """
    bases = named(sources, shapes)
    functions = [made for base in bases for made in derivatives(base, kinds, wrt, sparse=sparse)]
    title = check_name(name or bases[0].name)
    options: dict[str, Any] = {"dtype": np.float32} if float32 else {}
    if reduce is not None:
        options |= {"reduce": reduce, "shared": list(shared)}
    elif shared:
        raise click.UsageError("--shared goes with --reduce")
    if float32 and reduce is not None:
        raise click.UsageError("--float32 does not go with --reduce: reductions add up in float64")
    kernel = compile(*functions, name=title, **options)
    written: dict[str, Any] = {"formats": formats, "optimise": "size" if size else "speed"}
    if float32:
        written["dtype"] = np.float32
    machine = None if target == "portable" else target
    with Stages(f"hybrid export {title}", "files", {}), shown(OSError, ValueError, RuntimeError):
        paths = kernel.export(folder, target=machine, **written)
    certificate = kernel.certificate
    if as_json:
        report: dict[str, Any] = {"name": title, "files": [str(path) for path in paths], "target": target}
        report |= {"operations": kernel.operations}
        report["certificate"] = None if certificate is None else certificate.to_dict()
        emit_json(report)
        return
    for path in paths:
        click.echo(path)
    if certificate is not None:
        click.echo(certificate.headline(), err=True)


def named(sources: Sequence[str], shapes: Shapes) -> list[Function]:
    """The functions of the sources, expressions under the names of their places."""
    places = zip(sources, expression_names(len(sources)), strict=True)
    return read_all(sources, shapes, [None if is_reference(source) else name for source, name in places])


def expression_names(count: int) -> list[str]:
    """What expressions are called, by their place: f, g, h, f4, f5 …"""
    return ["f", "g", "h", *(f"f{k}" for k in range(4, count + 1))][:count]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, type=Source(), metavar="[SOURCE]...")
@shape_option
@json_option
def check(bundle: Path, sources: Sequence[str], shapes: Shapes, as_json: bool) -> None:
    """Check a BUNDLE of exported files, and its library against its SOURCE.

    BUNDLE is a manifest, NAME.manifest.json, or the folder that holds one. Every file is compared with its hash. With
    the SOURCEs it was made from (without derivatives, which the manifest names), its shared library is loaded, if it is
    for a machine like this one, and compared with them on the numeric tape, as every kernel is. A library whose hash is
    wrong is not loaded.

    \b
    hybrid check build
    hybrid check build model.py:energy
    hybrid check build/f.manifest.json "x*exp(y)" --json

    Exit code 1 if a file is missing or changed, or the library disagrees; 0 if all that could be compared agrees. With
    --json: "bundle", "passed", "files" (name to state), "ran", "reason" (why it was not run, or what is wrong),
    "certificate" (of this check) and "stored" (of the export).
    """
    found = check_bundle(bundle, named(sources, shapes) if sources else ())
    if as_json:
        emit_json(found.to_dict())
    else:
        click.echo(report_of(found))
    if not found.passed:
        raise SystemExit(1)


def report_of(found: Checked) -> str:
    width = max((len(name) for name in found.files), default=0)
    lines = [f"{name:<{width}}  {state}" for name, state in found.files.items()]
    if found.certificate is not None and found.agrees:
        lines.append(str(found.certificate))
    elif not found.agrees:
        lines.append(f"✗ {found.reason}")
    else:
        lines.append(f"not run: {found.reason}")
        if found.stored is not None:
            stored = found.stored
            lines.append(f"checked when exported: {stored['entries']:,} numbers, largest error {stored['max_ulp']} ulp")
    lines.append("✓ as exported" if found.passed else "✗ not as exported")
    return "\n".join(lines)
