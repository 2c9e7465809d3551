"""A kernel as PTX, run on an NVIDIA GPU through its driver: arrays in, arrays out. Needs NumPy and the driver alone.

This file is part of every exported `ptx` bundle, as it stands, under the name `NAME_cuda.py`: `load()` there reads
`NAME.ptx` and `NAME.manifest.json` beside it. Arrays in host memory are copied to the GPU and back. Arrays that tell
their device address by `__cuda_array_interface__` (CuPy, PyTorch, Numba) are read and written where they are.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 128  # of a block
BLOCKS = 32  # per multiprocessor, at most: enough to hide latency, and each thread has some points to itself
MULTIPROCESSORS = 16  # the number of the driver's attribute

# The driver's functions, and what their parameters are.
_POINTER, _INT, _UNSIGNED, _ADDRESS, _SIZE = (
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.c_size_t,
)
_FUNCTIONS: dict[str, list[Any]] = {
    "cuInit": [_UNSIGNED],
    "cuDeviceGet": [_POINTER, _INT],
    "cuDeviceGetAttribute": [_POINTER, _INT, _INT],
    "cuDevicePrimaryCtxRetain": [_POINTER, _INT],
    "cuDevicePrimaryCtxRelease_v2": [_INT],
    "cuCtxPushCurrent_v2": [_POINTER],
    "cuCtxPopCurrent_v2": [_POINTER],
    "cuCtxSynchronize": [],
    "cuModuleLoadData": [_POINTER, _POINTER],
    "cuModuleUnload": [_POINTER],
    "cuModuleGetFunction": [_POINTER, _POINTER, ctypes.c_char_p],
    "cuMemAlloc_v2": [_POINTER, _SIZE],
    "cuMemFree_v2": [_ADDRESS],
    "cuMemcpyHtoD_v2": [_ADDRESS, _POINTER, _SIZE],
    "cuMemcpyDtoH_v2": [_POINTER, _ADDRESS, _SIZE],
    "cuLaunchKernel": [_POINTER, *[_UNSIGNED] * 7, _POINTER, _POINTER, _POINTER],
    "cuGetErrorString": [_INT, _POINTER],
}


class CudaError(RuntimeError):
    """The driver is absent, or refused something; the message says which and why."""


class Driver:
    """The functions of the CUDA driver, each of which raises CudaError where it fails."""

    def __init__(self) -> None:
        name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
        try:
            # Both have the C calling convention on 64-bit machines.
            self.library = ctypes.CDLL(name)
        except OSError as error:
            raise CudaError(
                f"no CUDA driver: {name} cannot be loaded ({error}). It comes with NVIDIA's driver for the GPU; on a "
                "machine without one, take the shared library or the C source of the kernel"
            ) from error
        for function, parameters in _FUNCTIONS.items():
            try:
                getattr(self.library, function).argtypes = parameters
            except AttributeError as error:
                raise CudaError(f"{name} has no {function}: a driver for CUDA 7 or later is needed") from error

    def __call__(self, function: str, *arguments: Any) -> None:
        status = getattr(self.library, function)(*arguments)
        if status:
            raise CudaError(f"{function}: {self.describe(status)} (CUDA error {status})")

    def describe(self, status: int) -> str:
        text = ctypes.c_char_p()
        self.library.cuGetErrorString(status, ctypes.byref(text))
        return text.value.decode() if text.value else "unknown"

    def made(self, kind: Any, function: str, *arguments: Any) -> Any:
        """What a function puts where its first parameter points."""
        value = kind()
        self(function, ctypes.byref(value), *arguments)
        return value.value


class Operand:
    """An argument or a result: its name, and its shape per point."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self.name, self.shape, self.size = name, tuple(shape), prod(shape)

    def __repr__(self) -> str:
        return f"{self.name}{list(self.shape)}" if self.shape else self.name


class Place:
    """Where the numbers of an operand lie on the GPU: an address, and the distances between points and elements."""

    def __init__(self, address: int, point: int, element: int) -> None:
        self.address, self.point, self.element = address, point, element


class Reduction:
    """How the results of a kernel are reduced over its points: its kernels for that, and what is said of them.

    accumulate, combine, finish: their names. lanes: that points are accumulated in, at most, each of `words` numbers.
    fan: how many of them one thread of `combine` adds up. shared: numbers of the arguments that are the same for all
    points. kinds: by result.
    """

    def __init__(self, said: Mapping[str, Any], shared: Iterable[int], kinds: Sequence[str]) -> None:
        self.accumulate, self.combine, self.finish = said["accumulate"], said["combine"], said["finish"]
        self.lanes, self.words, self.fan = said["lanes"], said["words"], said["fan"]
        self.shared, self.kinds = frozenset(shared), tuple(kinds)


class Kernel:
    """A kernel on one GPU. Raises CudaError where there is no driver, no such GPU, or one that is too old for the PTX.

    ptx: the text. entry: the name of the kernel in it. element: "float64" or "float32". device: the number of the GPU.
    reduction: if its results are reduced over points.
    """

    def __init__(
        self,
        ptx: bytes,
        entry: str,
        arguments: Sequence[Operand],
        results: Sequence[Operand],
        element: str = "float64",
        device: int = 0,
        reduction: Reduction | None = None,
    ) -> None:
        self.arguments, self.results, self.dtype = tuple(arguments), tuple(results), np.dtype(element)
        self.reduction = reduction
        self._driver = driver = Driver()
        self._context = self._module = None
        # Memory of reductions, its size, and the stream that used it last.
        self._lanes, self._lane_bytes, self._lane_stream = 0, 0, 0
        driver("cuInit", 0)
        self.device = driver.made(ctypes.c_int, "cuDeviceGet", device)
        count = driver.made(ctypes.c_int, "cuDeviceGetAttribute", MULTIPROCESSORS, self.device)
        self._most = BLOCKS * max(1, count)
        self._context = driver.made(ctypes.c_void_p, "cuDevicePrimaryCtxRetain", self.device)
        try:
            with self._current():
                self._module = driver.made(ctypes.c_void_p, "cuModuleLoadData", ptx + b"\0")
                names = [entry]
                if reduction is not None:
                    names += [reduction.accumulate, reduction.combine, reduction.finish]
                self._function, *self._reducing = (
                    driver.made(ctypes.c_void_p, "cuModuleGetFunction", self._module, name.encode()) for name in names
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the GPU back what the kernel holds there; it cannot be called afterwards."""
        if self._context is None:
            return
        try:
            if self._module is not None:
                with self._current():
                    self._each([*self._without_lanes(), lambda: self._driver("cuModuleUnload", self._module)])
        finally:
            self._module = self._context = None
            self._driver("cuDevicePrimaryCtxRelease_v2", self.device)

    @contextmanager
    def _current(self) -> Iterator[None]:
        if self._context is None:
            raise CudaError("the kernel is closed: load it again")
        self._driver("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._driver.made(ctypes.c_void_p, "cuCtxPopCurrent_v2")

    def launch(self, n: int, places: Sequence[Place], stream: int = 0) -> None:
        """Compute n points; does not wait. places: where each argument, then each result, lies on the GPU.

        Results must not overlap arguments. stream: the handle of a CUDA stream.
        """
        if len(places) != len(self.arguments) + len(self.results):
            expected = [*self.arguments, *self.results]
            raise TypeError(f"the kernel needs {len(expected)} places, for {expected}, got {len(places)}")
        if n <= 0:
            return
        words = [n]
        for place in places:
            words += [place.address, place.point, place.element]
        with self._current():
            self._start(self._function, n, words, stream)

    def _start(self, function: int, threads: int, words: Sequence[int], stream: int) -> None:
        """Launch a kernel whose parameters are 64-bit integers, for up to so many threads."""
        numbers = [ctypes.c_int64(word) for word in words]
        pointers = (ctypes.c_void_p * len(numbers))(*(ctypes.addressof(number) for number in numbers))
        blocks = min(-(-threads // THREADS), self._most)
        self._driver("cuLaunchKernel", function, blocks, 1, 1, THREADS, 1, 1, 0, stream, pointers, None)

    def launch_reduce(self, n: int, places: Sequence[Place], stream: int = 0) -> None:
        """Reduce n points; does not wait. places: as for `launch`; distances between points of results are not used.

        Of no points (n = 0) a sum is 0, a mean NaN, a maximum and a log-sum-exp −inf. Memory for the lanes of points is
        allocated when it is first needed, and given back by `close`. Reductions in different streams wait for each
        other. Raises TypeError for a kernel that does not reduce.
        """
        reduction = self._reduces()
        expected = [*self.arguments, *self.results]
        if len(places) != len(expected):
            raise TypeError(f"the kernel needs {len(expected)} places, for {expected}, got {len(places)}")
        n, count = max(n, 0), len(self.arguments)
        lanes = min(max(n, 1), reduction.lanes)
        with self._current():
            state = self._room_for_lanes(lanes, stream)
            words = [n, lanes, state]
            for number, place in enumerate(places[:count]):
                point = [] if number in reduction.shared else [place.point]
                words += [place.address, *point, place.element]
            accumulate, combine, finish = self._reducing
            self._start(accumulate, lanes, words, stream)
            now = lanes
            while now > 1:
                left = -(-now // reduction.fan)
                self._start(combine, left * reduction.words, [now, lanes, state], stream)
                now = left
            words = [n, lanes, state]
            for place in places[count:]:
                words += [place.address, place.element]
            self._start(finish, max(1, *(operand.size for operand in self.results)), words, stream)

    def _reduces(self) -> Reduction:
        if self.reduction is None:
            raise TypeError("the kernel does not reduce: export one that was compiled with reduce=")
        return self.reduction

    def _room_for_lanes(self, lanes: int, stream: int) -> int:
        """The address of memory for so many lanes, which nothing that was launched before still uses."""
        reduction = self._reduces()
        size = max(1, lanes * reduction.words) * self.dtype.itemsize
        if self._lanes and (stream != self._lane_stream or size > self._lane_bytes):
            self._driver("cuCtxSynchronize")
        if size > self._lane_bytes:
            for step in self._without_lanes():
                step()
            self._lanes = int(self._driver.made(ctypes.c_uint64, "cuMemAlloc_v2", size))
            self._lane_bytes = size
        self._lane_stream = stream
        return self._lanes

    def _without_lanes(self) -> list[Callable[[], None]]:
        """What gives the memory of the lanes back."""
        address, self._lanes, self._lane_bytes = self._lanes, 0, 0
        return [self._give_back(address)] if address else []

    def __call__(self, *arrays: Any, out: Sequence[Any] | None = None, stream: int = 0) -> Any:
        """The results, one array or a tuple of them, in host memory or in `out`.

        Each argument has a shape of points, which broadcast, and then its own. out: an array per result, of the shape
        of all points and then the result's own, on the GPU or contiguous in host memory. With all of `out` on the GPU
        the call does not wait for it.

        Raises TypeError for a wrong number of arrays or another number type on the GPU, ValueError for shapes that do
        not fit or strides that a kernel cannot be told of.
        """
        pairs = self._pairs(arrays)
        batch = np.broadcast_shapes(*(self._points(operand, shape_of(array)) for operand, array in pairs))
        made = self._made(out, batch)
        if prod(batch):
            self._run(batch, pairs, batch, made, lambda places: self.launch(prod(batch), places, stream), stream)
        return made[0] if len(made) == 1 else tuple(made)

    def reduce(self, *arrays: Any, out: Sequence[Any] | None = None, stream: int = 0) -> Any:
        """The results reduced over all points, one array or a tuple of them, in host memory or in `out`.

        Arguments as in a call; those that the kernel was compiled with `shared=` for have no points, or one. out: an
        array per result, of the result's shape, on the GPU or contiguous in host memory. With all of `out` on the GPU
        the call does not wait for it. The bits depend on the points and their order alone.

        Raises TypeError and ValueError as a call does, TypeError for a kernel that does not reduce, and ValueError for
        the maximum of no points.
        """
        reduction = self._reduces()
        pairs = self._pairs(arrays)
        points = [self._points(operand, shape_of(array)) for operand, array in pairs]
        for number in reduction.shared:
            if prod(points[number]) != 1:
                operand = self.arguments[number]
                raise ValueError(f"{operand} is the same for all points: it must have one, got {points[number]}")
        batch = np.broadcast_shapes(*points)
        n = prod(batch)
        if n == 0 and "max" in reduction.kinds:
            raise ValueError(f"the maximum of no points is not defined; the points are {batch}")
        made = self._made(out, ())
        self._run(batch, pairs, (), made, lambda places: self.launch_reduce(n, places, stream), stream)
        return made[0] if len(made) == 1 else tuple(made)

    def _pairs(self, arrays: Sequence[Any]) -> list[tuple[Operand, Any]]:
        if len(arrays) != len(self.arguments):
            raise TypeError(f"the kernel takes {len(self.arguments)} arguments, {self.arguments}; got {len(arrays)}")
        given = [array if is_device(array) else self._host(array) for array in arrays]
        return list(zip(self.arguments, given, strict=True))

    def _made(self, out: Sequence[Any] | None, batch: tuple[int, ...]) -> list[Any]:
        """An array per result: those of `out`, if they fit, or new ones."""
        made = [np.empty(batch + operand.shape, self.dtype) for operand in self.results] if out is None else list(out)
        if len(made) != len(self.results):
            raise TypeError(f"out must be {len(self.results)} arrays, for {self.results}; got {len(made)}")
        for operand, array in zip(self.results, made, strict=True):
            self._check_result(operand, array, batch)
        return made

    def _run(
        self,
        batch: tuple[int, ...],
        pairs: list[tuple[Operand, Any]],
        of_results: tuple[int, ...],
        made: list[Any],
        launch: Callable[[list[Place]], None],
        stream: int,
    ) -> None:
        """Copy what is to be copied, launch, and copy back. of_results: the points of results, all or none."""
        results = list(zip(self.results, made, strict=True))
        held: list[int] = []
        try:
            places = [self._argument(operand, array, batch, held) for operand, array in pairs]
            places += [
                self._on_device(operand, array, of_results)
                if is_device(array)
                else Place(self._room(array.nbytes, held), operand.size, 1)
                for operand, array in results
            ]
            if held and stream:
                with self._current():
                    # Copies go through the default stream, for which other streams need not wait.
                    self._driver("cuCtxSynchronize")
            launch(places)
            for (_, array), place in zip(results, places[len(pairs) :], strict=True):
                if not is_device(array) and array.nbytes:
                    with self._current():
                        self._driver("cuCtxSynchronize")
                        self._driver("cuMemcpyDtoH_v2", array.ctypes.data, place.address, array.nbytes)
        finally:
            if held:
                with self._current():
                    # Whatever still reads what is given back comes first.
                    self._each([lambda: self._driver("cuCtxSynchronize"), *map(self._give_back, held)])

    def _give_back(self, address: int) -> Callable[[], None]:
        return lambda: self._driver("cuMemFree_v2", address)

    @staticmethod
    def _each(steps: list[Callable[[], None]]) -> None:
        """Do all of them, and raise the first failure afterwards."""
        failures = []
        for step in steps:
            try:
                step()
            except CudaError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _host(self, array: Any) -> Any:
        found = np.asarray(array)
        if found.dtype.kind not in "fiub":
            raise TypeError(f"the kernel computes in {self.dtype}; it cannot read an array of {found.dtype}")
        return found

    def _points(self, operand: Operand, shape: tuple[int, ...]) -> tuple[int, ...]:
        rank = len(shape) - len(operand.shape)
        if rank < 0 or shape[rank:] != operand.shape:
            raise ValueError(f"{operand} must have a shape that ends in {operand.shape}, got {shape}")
        return shape[:rank]

    def _check_result(self, operand: Operand, array: Any, batch: tuple[int, ...]) -> None:
        if shape_of(array) != batch + operand.shape:
            raise ValueError(f"out for {operand} must have the shape {batch + operand.shape}, got {shape_of(array)}")
        if not is_device(array) and not (
            isinstance(array, np.ndarray)
            and array.dtype == self.dtype
            and array.flags.c_contiguous
            and array.flags.writeable
        ):
            raise ValueError(f"out for {operand} must be a writeable array of {self.dtype} in C order, or on the GPU")

    def _argument(self, operand: Operand, array: Any, batch: tuple[int, ...], held: list[int]) -> Place:
        if is_device(array):
            return self._on_device(operand, array, batch)
        points = self._points(operand, array.shape)
        shared = prod(points) == 1
        whole = array if shared else np.broadcast_to(array, batch + operand.shape)
        data = np.ascontiguousarray(whole, self.dtype)
        place = Place(self._room(data.nbytes, held), 0 if shared else operand.size, 1)
        if data.nbytes:
            with self._current():
                self._driver("cuMemcpyHtoD_v2", place.address, data.ctypes.data, data.nbytes)
        return place

    def _room(self, size: int, held: list[int]) -> int:
        if not size:
            return 0
        with self._current():
            address = int(self._driver.made(ctypes.c_uint64, "cuMemAlloc_v2", size))
        held.append(address)
        return address

    def _on_device(self, operand: Operand, array: Any, batch: tuple[int, ...]) -> Place:
        interface = array.__cuda_array_interface__
        if np.dtype(interface["typestr"]) != self.dtype:
            raise TypeError(f"{operand} on the GPU must be {self.dtype}, got {np.dtype(interface['typestr'])}")
        shape = tuple(interface["shape"])
        points = self._points(operand, shape)
        strides = interface.get("strides") or contiguous(shape, self.dtype.itemsize)
        core = len(points)
        element = even(operand, operand.shape, strides[core:], self.dtype.itemsize)
        if prod(points) == 1:
            return Place(int(interface["data"][0] or 0), 0, element)
        if prod(points) != prod(batch):
            raise ValueError(f"{operand} on the GPU has points {points}; it must have one, or {batch}")
        return Place(int(interface["data"][0]), even(operand, points, strides[:core], self.dtype.itemsize), element)


def is_device(array: Any) -> bool:
    return hasattr(array, "__cuda_array_interface__")


def shape_of(array: Any) -> tuple[int, ...]:
    return tuple(array.__cuda_array_interface__["shape"]) if is_device(array) else np.shape(array)


def contiguous(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Strides of an array in C order, in bytes."""
    return tuple(size * prod(shape[axis + 1 :]) for axis in range(len(shape)))


def even(operand: Operand, shape: Sequence[int], strides: Sequence[int], size: int) -> int:
    """The one distance, in numbers, between neighbours of some axes in C order. Raises ValueError if there is none."""
    axes = [axis for axis in range(len(shape)) if shape[axis] > 1]
    if not axes:
        return 1
    last = strides[axes[-1]]
    if last % size or any(strides[axis] != last * prod(shape[axis + 1 :]) for axis in axes):
        raise ValueError(f"{operand} of strides {tuple(strides)} does not lie evenly: make it contiguous")
    return int(last // size)


def load(path: str | Path | None = None, device: int = 0) -> Kernel:
    """The kernel of a `.ptx` file, with the manifest beside it. By default that of the bundle this file is part of."""
    here = Path(__file__)
    ptx = here.with_name(f"{here.stem.removesuffix('_cuda')}.ptx") if path is None else Path(path)
    said = json.loads(ptx.with_name(f"{ptx.stem}.manifest.json").read_text(encoding="utf-8"))
    arguments, results = ([Operand(row["name"], row["shape"]) for row in said[k]] for k in ("arguments", "results"))
    reduction = None
    if (kernels := said["gpu"].get("reduce")) is not None:
        shared = [number for number, row in enumerate(said["arguments"]) if row["shared"]]
        reduction = Reduction(kernels, shared, [row["reduction"] for row in said["results"]])
    return Kernel(ptx.read_bytes(), f"{said['name']}_batch", arguments, results, said["element"], device, reduction)
