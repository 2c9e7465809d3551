"""Compilation in this process: phases, tiers, limits, the object cache."""

import os
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from codegen import Array, Program, cache, compile, host, jit, make_ufunc
from codegen.target import NAMED

SMALL = Program(
    "f", (Array("x"), Array("y")), (Array("r"),),
    [("load", 0, 0), ("load", 1, 0), ("exp", 0), ("mul", 1, 2)], ((3,),),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setenv("HYBRID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_phases_and_texts():
    compiled = compile(SMALL)
    assert {"emit", "look up", "driver", "link"} <= set(compiled.seconds)
    assert all(0 <= seconds < 10 for seconds in compiled.seconds.values())
    assert "define void @f_loop" in compiled.ir
    assert "f_batch" in compiled.assembly()
    assert compiled.target is host()
    assert compiled.objects[0].startswith(b"\x7fELF") or "linux" not in host().triple


def test_small_programs_compile_fast(monkeypatch):
    monkeypatch.setenv("HYBRID_CACHE", "off")
    compile(SMALL)  # the driver is made once per process
    best = min(sum(compile(SMALL).seconds.values()) for _ in range(3))
    assert best < 0.15  # 15 ms on an idle machine


def test_code_for_another_machine_is_refused():
    other = "aarch64" if host().arch != "aarch64" else "x86-64"
    with pytest.raises(ValueError, match=r"cannot run code for .*codegen\.export"):
        compile(SMALL, other)
    with pytest.raises(ValueError, match="unknown target"):
        compile(SMALL, "pdp11")


def test_the_quick_tier_has_the_same_bits(programs, sample):
    program = programs(400, 8, "add sub mul div sin exp sqrt select tanh")
    arguments = sample(program, (29,), 0)
    for quick, full in zip(
        make_ufunc(compile(program, tier="quick"))(*arguments),
        make_ufunc(compile(program, tier="full"))(*arguments),
        strict=True,
    ):
        assert (quick.view(np.int64) == full.view(np.int64)).all()


@pytest.mark.parametrize(("length", "limit"), [(1_000, 2.0), (10_000, 8.0)])
def test_long_programs(length, limit, programs, sample, meaning, monkeypatch):
    """Graph to first value in 0.1 s and 0.4 s on an idle machine; the limits here allow for a busy one."""
    monkeypatch.setenv("HYBRID_CACHE", "off")
    program = programs(length, 1, "add sub mul div sin exp sqrt", [Array("x", (50,))], [Array("g", (50,))], reach=2000)
    arguments = sample(program, (2,), 0)
    start = time.perf_counter()
    result = make_ufunc(compile(program))(*arguments)
    assert time.perf_counter() - start < limit
    assert result.shape == (2, 50)


@pytest.mark.parametrize("length", [3_000])
def test_long_programs_are_right(length, programs, sample, meaning):
    program = programs(length, 4, "add sub mul minimum sqrt abs", [Array("x", (50,))], [Array("g", (50,))], reach=1000)
    arguments = sample(program, (6,), 0)
    result = make_ufunc(compile(program, tier="full"))(*arguments)
    np.testing.assert_allclose(result, meaning(program, *arguments)[0], rtol=1e-6)


@pytest.mark.long
def test_a_hundred_thousand_instructions(programs, sample, monkeypatch):
    monkeypatch.setenv("HYBRID_CACHE", "off")
    program = programs(100_000, 1, "add sub mul div sin exp sqrt", [Array("x", (50,))], [Array("g", (50,))], reach=2000)
    start = time.perf_counter()
    make_ufunc(compile(program))(*sample(program, (), 0))
    assert time.perf_counter() - start < 20


def objects(folder):
    return sorted(folder.glob("*.o"))


def test_objects_are_cached(folder):
    first = compile(SMALL)
    assert "generate" in first.seconds
    (path,) = objects(folder)
    again = compile(SMALL)
    assert "generate" not in again.seconds
    assert again.objects == first.objects
    assert make_ufunc(again)(1.0, 2.0) == make_ufunc(first)(1.0, 2.0)
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    compile(SMALL, tier="quick")
    compile(Program("g", SMALL.arguments, SMALL.results, SMALL.body, SMALL.outputs))
    assert len(objects(folder)) == 3


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap"])
def test_a_damaged_entry_is_made_anew(damage, folder):
    expected = compile(SMALL).objects
    (path,) = objects(folder)
    data = path.read_bytes()
    if damage == "swap":  # another entry's intact content under this name
        compile(Program("g", SMALL.arguments, SMALL.results, SMALL.body, SMALL.outputs))
        (other,) = set(objects(folder)) - {path}
        data = other.read_bytes()
    broken = {"cut": data[:-5], "flip": data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "empty": b"", "swap": data}
    path.write_bytes(broken[damage])
    assert compile(SMALL).objects == expected
    assert "generate" not in compile(SMALL).seconds


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_folder_others_may_write_to_is_not_used(folder):
    folder.mkdir()
    folder.chmod(0o777)
    compile(SMALL)
    assert objects(folder) == []


def test_no_cache(folder, monkeypatch, tmp_path):
    for setting in ("off", "0", str(tmp_path / "file" / "below")):
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("HYBRID_CACHE", setting)
        assert "generate" in compile(SMALL).seconds
        assert "generate" in compile(SMALL).seconds


def test_the_cache_stays_below_its_limit(folder):
    names = [cache.key(str(k)) for k in range(10)]
    for age, name in enumerate(names):
        cache.store(name, bytes(1000))
        os.utime(folder / f"{name}.o", (1e9 + age, 1e9 + age))
    assert cache.load(names[0]) == bytes(1000)  # used now, so it is the last to go
    cache.trim(folder, 6000)
    kept = {path.stem for path in objects(folder)}
    assert names[0] in kept
    assert names[1] not in kept
    assert names[9] in kept
    assert sum(path.stat().st_size for path in objects(folder)) <= 4500


def test_keys_depend_on_every_part():
    assert len({cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key("abc", "")}) == 4


def test_many_processes_share_a_cache(folder):
    code = (
        "from codegen import *\n"
        "for k in range(4):\n"
        "    p = Program(f'f{k}', (Array('x'),), (Array('r'),), [('load', 0, 0), ('mul', 0, 0)], ((1,),))\n"
        "    assert make_ufunc(compile(p))(3.0) == 9\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
    assert len(objects(folder)) == 7  # four programs, the driver's two, the short way through a ufunc
    assert list(folder.glob("new-*")) == []


def test_pipeline_is_part_of_the_key(folder, monkeypatch):
    compile(SMALL)
    monkeypatch.setattr(jit, "PIPELINE", -1)
    compile(SMALL)
    assert len(objects(folder)) == 2


def test_named_targets_of_this_machine_run():
    for name, target in NAMED.items():
        if target.arch == host().arch and target.width <= host().width and "linux" in target.triple:
            assert make_ufunc(compile(SMALL, name))(0.0, 3.0) == 3.0
