"""A stand-alone Python package, and its wheel: native code that needs NumPy alone, called as the kernel is.

The project `NAME-python/` holds the package `NAME` (the shared library, what calls it, types), a build backend of its
own that pip needs nothing for, and tests. Two of its files are modules of this package, as they stand: standalone.py
and wheel.py.
"""

from __future__ import annotations

import json
import keyword
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

from codegen.export.bundle import Build, Files
from codegen.export.c_test import TOLERANCE, computed, reduced, stored
from codegen.export.wheel import wheel
from codegen.program import Array
from codegen.target import Target

VERSION = "0.1.0"
NUMPY = "numpy>=1.25"
PYTHON = ">=3.11"
# What the named levels of x86-64 add, in Linux's words.
LEVELS = {
    "x86-64-v2": ("sse4_2", "ssse3", "popcnt"),
    "x86-64-v3": ("sse4_2", "ssse3", "popcnt", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"),
}
LEVELS["x86-64-v4"] = (*LEVELS["x86-64-v3"], "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
# Features in LLVM's words whose name Linux spells otherwise, and those that code for arithmetic may use.
SPELLED = {"sse4.1": "sse4_1", "sse4.2": "sse4_2", "bmi": "bmi1"} | {
    f"avx512{part}": f"avx512_{part}" for part in ("bf16", "bitalg", "fp16", "vbmi2", "vnni", "vpopcntdq")
}
USED = ("avx", "avx2", "fma", "bmi", "bmi2", "sse4.1", "sse4.2", "popcnt")


def python_project(build: Build) -> Files:
    """The files of the project, below `NAME-python/`.

    Raises LinkerNotFound, and ValueError for a name that a Python package cannot have.
    """
    return {f"{build.name}-python/{path}": content for path, content in project(build).items()}


def python_wheel(build: Build) -> Files:
    """The wheel of the project. Raises as `python_project`."""
    name, content = wheel(project(build))
    return {name: content}


def project(build: Build) -> dict[str, bytes]:
    """Paths in the project and contents."""
    name = build.name
    check_name(name)
    if build.program.externals:
        raise ValueError(
            f"{name} calls {build.program.externals[0].c_name}, a C function of yours, which a Python package lacks; "
            f"export an object or source and link it with yours"
        )
    library = build.shared_library
    described = describe(build)
    here = Path(__file__).parent
    package: dict[str, bytes | str] = {
        "__init__.py": INIT.format(name=name),
        "__init__.pyi": stub(build),
        "py.typed": "",
        "standalone.py": (here / "standalone.py").read_text(encoding="utf-8"),
        "kernel.json": json.dumps(described, indent=1) + "\n",
        described["library"]: library,
    }
    files: dict[str, bytes | str] = {
        "pyproject.toml": PYPROJECT.format(
            name=name,
            project=project_name(name),
            version=VERSION,
            python=PYTHON,
            numpy=NUMPY,
            operations=build.program.operations,
            tag=f"py3-none-{platform_tag(build.target, library)}",
        ),
        "README.md": readme(build),
        "backend.py": (here / "wheel.py").read_text(encoding="utf-8"),
        **{f"{name}/{path}": content for path, content in package.items()},
        f"tests/test_{name}.py": (TESTS + (REDUCED_TESTS if build.details.reduction else PLAIN_TESTS)).format(
            name=name
        ),
        "tests/values.json": json.dumps(values(build), indent=1) + "\n",
    }
    return {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}


def check_name(name: str) -> None:
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ValueError(f"export name {name!r} is a keyword of Python and cannot be a package; give another name")
    if name in sys.stdlib_module_names or name in ("numpy", "scipy", "tests", "backend"):
        raise ValueError(f"export name {name!r} is that of another Python package, which it would hide; give another")


def project_name(name: str) -> str:
    """The name under which the package is installed: with a letter or digit first and last."""
    stripped = name.strip("_").lower()
    return stripped if stripped == name.lower() else f"kernel-{stripped or 'unnamed'}"


def describe(build: Build) -> dict[str, Any]:
    """What the library expects of its callers, as JSON."""
    program, details, reduction = build.program, build.details, build.details.reduction
    return {
        "name": build.name,
        "library": build.library_file,
        "element": build.element,
        "arguments": [{"name": item.name, "shape": list(item.shape)} for item in program.arguments],
        "results": [{"name": item.name, "shape": list(item.shape)} for item in program.results],
        "sparsity": {
            name: {
                "shape": list(pattern.shape),
                "rows": list(pattern.rows),
                "columns": list(pattern.columns),
                "triangle": pattern.triangle,
            }
            for name, pattern in details.sparsity.items()
        },
        "reductions": [] if reduction is None else list(reduction.kinds),
        "shared": [] if reduction is None else [program.arguments[k].name for k in sorted(reduction.shared)],
        "operations": program.operations,
        "triple": build.target.triple,
        "requires": requires(build.target),
        "certificate": details.certificate,
    }


def values(build: Build) -> dict[str, Any]:
    """What the tests of the package compare with: arguments and results at some points, as flat sequences."""
    reduction, program = build.details.reduction, build.original or build.program
    rows = stored(program, build.element, build.details.points())
    arguments, results = rows.arguments, rows.results
    if reduction is not None:
        arguments = [array[:1] if k in reduction.shared else array for k, array in enumerate(arguments)]
        same = [np.repeat(a, len(rows.arguments[0]), axis=0) if len(a) == 1 else a for a in arguments]
        results = [row[None] for row in reduced(build.interface, computed(program, build.element, same))]
    return {
        "tolerance": TOLERANCE[build.element],
        "arguments": [array.tolist() for array in arguments],
        "results": [[[number(x) for x in row] for row in array.tolist()] for array in results],
    }


def number(value: float) -> float | str:
    """A number as JSON has it, which knows neither NaN nor infinities."""
    return value if math.isfinite(value) else str(value)


def requires(target: Target) -> list[str]:
    """What the processor must have beyond the least of its kind, in the words of Linux's /proc/cpuinfo."""
    if not target.is_x86:
        return []
    named = set(LEVELS.get(target.cpu, ()))
    features = [item[1:] for item in target.features.split(",") if item.startswith("+")]
    named |= {SPELLED.get(item, item) for item in features if item in USED or item.startswith("avx512")}
    return sorted(named)


def platform_tag(target: Target, library: bytes) -> str:
    """The last part of the wheel's name: which systems can load the library."""
    arch = {"arm64": "aarch64"}.get(target.arch, target.arch)
    if "apple" in target.triple:
        return f"macosx_11_0_{'arm64' if arch == 'aarch64' else arch}"
    if "windows" in target.triple:
        return {"x86_64": "win_amd64", "aarch64": "win_arm64"}.get(arch, "win32")
    if arch in ("x86_64", "aarch64") and not needs_libraries(library):
        return f"manylinux_2_17_{arch}.musllinux_1_1_{arch}"
    return f"linux_{arch}"


def needs_libraries(library: bytes) -> bool:
    """Whether a 64-bit little-endian ELF library names others that it needs: DT_NEEDED in its dynamic section."""
    if library[:6] != b"\x7fELF\x02\x01":
        return True
    (start,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    for header in range(start, start + size * count, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", library, header)
        if kind == 2:  # PT_DYNAMIC: pairs of a tag and a value
            tags = [struct.unpack_from("<q", library, place)[0] for place in range(offset, offset + length, 16)]
            return 1 in tags[: tags.index(0)] if 0 in tags else 1 in tags
    return False


# --- texts ------------------------------------------------------------------------------------------------------------
def stub(build: Build) -> str:
    """The types of the package."""
    arguments, results = build.program.arguments, build.program.results
    names = [item.name for item in arguments]
    usable = all(name.isidentifier() and not keyword.iskeyword(name) for name in names)
    if usable and not {"self", "out", "threads"} & set(names) and len(set(names)) == len(names):
        parameters = "".join(f"        {name}: ArrayLike,\n" for name in names) + "        *,\n"
    else:
        parameters = "        *args: ArrayLike,\n"
    tail = "        **named: ArrayLike,\n" if "*args" in parameters else ""
    returned = "Any" if len(results) == 1 else f"tuple[{', '.join(['Any'] * len(results))}]"
    return STUB.format(name=build.name, parameters=parameters, tail=tail, returned=returned)


def shown(item: Array) -> str:
    return f"({', '.join(['...', *map(str, item.shape)])})"


def readme(build: Build) -> str:
    name, program = build.name, build.program
    call = ", ".join(item.name for item in program.arguments)
    rows = [("argument", item) for item in program.arguments] + [("result", item) for item in program.results]
    table = "\n".join(f"| {role} | `{item.name}` | `{shown(item)}` |" for role, item in rows)
    sparse = "".join(
        f"\n`{name}.patterns[{result!r}]` tells where the values of `{result}` stand: `.rows`, `.columns`, "
        f"`.array(values)`, and `.csr(values)` where SciPy is installed.\n"
        for result in build.details.sparsity
    )
    certificate = build.details.certificate
    checked = (
        "It was not checked when it was made."
        if certificate is None
        else f"It was checked where it was made: {certificate.get('entries', 0):,} numbers, largest error "
        f"{certificate.get('max_ulp', 0)} ulp; `{name}.certificate` has the rest."
    )
    return README.format(
        name=name,
        project=project_name(name),
        call=call,
        table=table,
        sparse=sparse,
        checked=checked,
        operations=program.operations,
        element=build.element,
        triple=build.target.triple,
        outputs=", ".join(item.name for item in program.results),
    )


INIT = '''\
"""A compiled kernel as a package: `from {name} import {name}`. Needs NumPy alone."""

from pathlib import Path

from .standalone import ArgumentError, InputTypeError, Kernel, Pattern, ShapeError, load

{name} = load(__name__, Path(__file__).parent)

__all__ = ["{name}", "ArgumentError", "InputTypeError", "Kernel", "Pattern", "ShapeError"]
'''

STUB = """\
from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray

from .standalone import ArgumentError as ArgumentError
from .standalone import InputTypeError as InputTypeError
from .standalone import Kernel as Kernel
from .standalone import Operand
from .standalone import Pattern as Pattern
from .standalone import ShapeError as ShapeError

class _Function(Protocol):
    arguments: tuple[Operand, ...]
    results: tuple[Operand, ...]
    patterns: dict[str, Pattern]
    operations: int
    certificate: dict[str, Any] | None
    def __call__(
        self,
{parameters}        out: NDArray[Any] | Sequence[NDArray[Any] | None] | None = ...,
        threads: int | None = ...,
{tail}    ) -> {returned}: ...

{name}: _Function
"""

PYPROJECT = """\
# The build needs nothing but backend.py, so pip downloads nothing for it.
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{project}"
version = "{version}"
description = "The compiled kernel {name}: {operations} operations per point"
readme = "README.md"
requires-python = "{python}"
dependencies = ["{numpy}"]

[tool.backend]
package = "{name}"
tag = "{tag}"
"""

README = """\
# {name}

Native code for {triple}, {operations} operations per point in {element}; needs NumPy and nothing else.
{checked}

```
pip install .
```

```python
from {name} import {name}

{outputs} = {name}({call})
```

| | name | shape |
|---|---|---|
{table}

The leading axes `...` are those of a batch of points; they broadcast as in NumPy. `out=` takes arrays to write into,
`threads=` how many threads share a large batch. Numbers do not depend on how a batch is laid out or shared. A point
outside the domain gives NaN at that point. `help({name})` says more.
{sparse}
`python -m pytest tests` checks the package; `pip wheel .` makes a wheel of it.
"""

TESTS = '''\
"""The package on this machine: numbers, shapes, and how it is called."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import {name} as package

kernel = package.{name}


def points(*batch):
    random = np.random.default_rng(0)
    shapes = [item.shape if item.name in kernel.shared else (*batch, *item.shape) for item in kernel.arguments]
    return [random.uniform(0.1, 0.9, shape).astype(kernel.dtype) for shape in shapes]


def results(*args, **options):
    found = kernel(*args, **options)
    return found if len(kernel.results) > 1 else (found,)


def test_stored_values():
    stored = json.loads(Path(__file__).with_name("values.json").read_text())
    arrays = []
    for item, rows in zip(kernel.arguments, stored["arguments"]):
        array = np.array(rows, kernel.dtype)
        arrays.append(array.reshape(item.shape if item.name in kernel.shared else (len(rows), *item.shape)))
    for found, rows in zip(results(*arrays), stored["results"]):
        expected = np.array([[float(x) for x in row] for row in rows])
        found = np.asarray(found, float).reshape(expected.shape)
        size = np.abs(np.where(np.isfinite(expected), expected, 0)).max(axis=1, keepdims=True, initial=1e-300)
        np.testing.assert_allclose(found / size, expected / size, atol=stored["tolerance"], rtol=0)


def test_arguments_by_name():
    arrays = points(3)
    by_name = dict(zip([item.name for item in kernel.arguments], arrays))
    for found, expected in zip(results(**by_name), results(*arrays)):
        np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(package.ArgumentError, match="missing"):
        kernel()
    with pytest.raises(package.InputTypeError, match="complex"):
        kernel(*[array + 1j for array in points(2)])


def test_it_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(kernel)) is kernel
'''

PLAIN_TESTS = """

def test_a_batch_is_its_points():
    arrays = points(5, 3)
    whole = results(*arrays)
    for index in np.ndindex(5, 3):
        for found, result in zip(results(*[array[index] for array in arrays]), whole):
            np.testing.assert_array_equal(found, result[index])


def test_results_have_their_shapes():
    for found, item in zip(results(*points(4)), kernel.results):
        assert found.shape == (4, *item.shape)
        assert found.dtype == kernel.dtype


def test_results_into_given_arrays():
    arrays = points(7)
    given = [np.empty((7, *item.shape), kernel.dtype) for item in kernel.results]
    for found, out, expected in zip(results(*arrays, out=given), given, results(*arrays)):
        assert found is out
        np.testing.assert_array_equal(out, expected)
"""

REDUCED_TESTS = """

def test_results_have_no_batch():
    for found, item in zip(results(*points(4, 2)), kernel.results):
        assert np.shape(found) == item.shape


def test_many_rows_are_the_rows_of_two_halves():
    arrays = points(4000)
    own = [item.name in kernel.shared for item in kernel.arguments]
    first, second = (
        results(*[array if same else array[part] for array, same in zip(arrays, own)])
        for part in (slice(0, 1500), slice(1500, None))
    )
    for whole, one, two, kind in zip(results(*arrays), first, second, kernel.reductions):
        expected = {{
            "sum": lambda: one + two,
            "mean": lambda: (1500 * one + 2500 * two) / 4000,
            "max": lambda: np.maximum(one, two),
            "logsumexp": lambda: np.logaddexp(one, two),
        }}[kind]()
        np.testing.assert_allclose(whole, expected, rtol=1e-9)
"""
