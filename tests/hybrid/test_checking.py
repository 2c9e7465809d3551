"""Bundles beside their manifests and their sources."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import hybrid as hy
from codegen.export import LinkerNotFound, linker
from codegen.target import host
from hybrid.checking import check_bundle
from hybrid.cli import main


@hy.function(q=(4,), t=())
def swing(q, t):
    return np.array([np.sin(q[0]) * t + q[1] * q[2], np.exp(q[3]) / t])


@hy.function(q=(4,))
def cost(q):
    return np.sum((q[1:] - q[:-1] ** 2) ** 2)


x, y = hy.symbols("x y")
product = hy.Function([x, y], x * y**2, name="product")
other = hy.Function([x, y], x * y**2 * (1 + 1e-9), name="product")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    try:
        linker.find_linker(host())
    except LinkerNotFound as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("bundle")
    functions = [
        swing,
        swing.jacobian(wrt="q"),
        cost,
        cost.hessian(sparse=True, triangle="lower"),
        cost.gradient(),
        product.gradient(wrt=[y]).gradient(wrt="x"),
        product.hvp(),
        swing.vjp(wrt=["t"]),
    ]
    hy.compile(*functions, name="whole").export(folder, formats=["so", "h", "c"])
    return folder


@pytest.fixture
def copied(bundle, tmp_path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def test_derivatives_are_made_again_from_the_manifest(bundle) -> None:
    found = check_bundle(bundle, [swing, cost, product])
    assert found.passed
    assert found.ran
    assert [finding.name for finding in found.certificate.results][:4] == [
        "swing", "swing_jacobian", "cost", "cost_hessian",
    ]  # fmt: skip
    assert check_bundle(bundle / "whole.manifest.json", [product, cost, swing]).passed
    assert json.dumps(found.to_dict())


def test_another_function_is_found(bundle) -> None:
    found = check_bundle(bundle, [swing, cost, other])
    assert not found.passed
    assert found.ran
    assert "whole does not compute the source" in found.reason
    assert "product" in found.reason
    assert "was not returned" not in found.reason


@pytest.mark.parametrize("name", ["whole.so", "whole.h", "whole.c"])
def test_changed_and_missing_files_are_found(copied, name: str) -> None:
    path = copied / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = check_bundle(copied, [swing, cost, product])
    assert not found.passed
    assert found.files == {**dict.fromkeys(found.files, "as exported"), name: "changed"}
    assert found.ran is (name != "whole.so")  # what was changed is not loaded
    path.unlink()
    assert check_bundle(copied).files[name] == "missing"
    path.mkdir()
    assert check_bundle(copied).files[name] in ("unreadable", "missing")


def edit(folder: Path, change) -> None:
    path = folder / "whole.manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


WRONG = {
    "no schema": lambda m: m.pop("schema"),
    "has schema 99": lambda m: m.update(schema=99),
    "no whole manifest: KeyError": lambda m: m.pop("arguments"),
    "is not in the bundle": lambda m: m["files"][0].update(name="../secret"),
    "no whole manifest: ValueError": lambda m: m["files"][0].update(name="/etc/passwd"),
    "no whole manifest: TypeError": lambda m: m.update(files=3),
    "has the arguments": lambda m: m["arguments"][0].update(name="p"),
    "has shape": lambda m: m["results"][1].update(shape=[8]),
    "kind 'integral' cannot be made again": lambda m: m["results"][1]["derivatives"][0].update(kind="integral"),
    "was made from": lambda m: m["results"][0].update(function="sway"),
    "no argument": lambda m: m["results"][1]["derivatives"][0].update(by=["nothing"]),
}


@pytest.mark.parametrize("words", WRONG)
def test_manifests_that_are_wrong(copied, words: str) -> None:
    edit(copied, WRONG[words])
    with pytest.raises(hy.ArgumentError, match=words):
        check_bundle(copied, [swing, cost, product])


def test_libraries_of_other_machines_are_not_loaded(copied) -> None:
    edit(copied, lambda m: m["target"].update(triple="sparc-unknown-linux-gnu"))
    found = check_bundle(copied, [swing, cost, product])
    assert found.passed
    assert not found.ran
    assert "for sparc-unknown-linux-gnu; this machine is" in found.reason


def test_what_is_no_bundle(tmp_path) -> None:
    for place, words in ((tmp_path, "has no manifest"), (tmp_path / "none", "does not exist")):
        with pytest.raises(hy.ArgumentError, match=words):
            check_bundle(place)
    for name in ("a", "b"):
        (tmp_path / f"{name}.manifest.json").write_text("[]")
    with pytest.raises(hy.ArgumentError, match="has 2 manifests"):
        check_bundle(tmp_path)
    with pytest.raises(hy.ArgumentError, match="no manifest of an export"):
        check_bundle(tmp_path / "a.manifest.json")


@pytest.mark.parametrize("options", [{"dtype": np.float32}, {"reduce": "sum"}])
def test_float32_and_reductions(tmp_path, options) -> None:
    kernel = hy.compile(cost, **options)
    dtype = {key: value for key, value in options.items() if key == "dtype"}
    try:
        kernel.export(tmp_path, formats=["so"], **dtype)
    except LinkerNotFound as error:
        pytest.skip(str(error))
    found = check_bundle(tmp_path, [cost])
    assert found.passed
    assert found.ran
    if dtype:
        assert "float32 code within" in found.certificate.notes[-1]
    shifted = hy.function(q=(4,))(lambda q: np.sum((q[1:] - q[:-1] ** 2) ** 2) + 1e-3 * q[0])
    shifted.name = "cost"
    with_other = check_bundle(tmp_path, [shifted])
    assert not with_other.passed
    assert with_other.ran


def test_more_operands_than_numpy_allows(tmp_path) -> None:
    many = hy.symbols(" ".join(f"v{i}" for i in range(70)))
    sums = hy.Function(list(many), sum(s**2 for s in many), name="sums")
    try:
        hy.compile(sums, sums.gradient()).export(tmp_path, formats=["so"])
    except LinkerNotFound as error:
        pytest.skip(str(error))
    found = check_bundle(tmp_path, [sums])
    assert found.ran
    assert found.passed


def test_the_command(bundle, copied, monkeypatch) -> None:
    monkeypatch.chdir(copied)
    source = "x*y**2"
    result = CliRunner().invoke(main, ["export", source, "made", "--of", "gradient"], catch_exceptions=False)
    assert result.exit_code == 0
    for arguments, code, words in (
        (["made"], 0, "✓ as exported"),
        (["made", source], 0, "f verified"),
        (["made", "x*y**3"], 1, "does not compute the source"),
        (["made", "x*z"], 1, "no argument 'y'"),
        (["made", "x*y**2 + z"], 1, "has the arguments"),
    ):
        result = CliRunner().invoke(main, ["check", *arguments], catch_exceptions=False)
        assert result.exit_code == code, result.output
        assert words in result.output
    (copied / "made" / "f.h").write_text("")
    result = CliRunner().invoke(main, ["check", "made", "--json"], catch_exceptions=False)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["files"]["f.h"] == "changed"
