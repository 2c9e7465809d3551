"""The derivative sheet: what is on the page, that it holds everything, and that it runs."""

import base64
import json
import re
import sys
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from browser import drive
from click.testing import CliRunner
from html_page import Page

import hybrid as hy
from hybrid.certificate import ULP_BINS
from hybrid.cli import main
from hybrid.errors import ArgumentError
from hybrid.report import expression_graph, pictures
from hybrid.report.labels import label
from hybrid.report.page import script_safe
from hybrid.sparsity import Pattern

HOSTILE = ('</script><script>alert("1")</script>', '"><img src=x onerror=alert(2)>', "<!--", "&lt;b&gt; \\ % $ # _ ^")


def rosenbrock():
    x, y = hy.symbols("x y")
    return hy.Function([x, y], (1 - x) ** 2 + 100 * (y - x**2) ** 2, name="rosenbrock")


def swing():
    @hy.function(q=(2,), length=())
    def swing(q, length):
        return np.stack([length * np.sin(q[0]), length * np.cos(q[0]) * q[1]])

    return swing


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    """A scalar function, a vector function, and one with names that attack the page."""
    folder = tmp_path_factory.mktemp("sheets")
    symbols = [sp.Symbol(name) for name in HOSTILE]
    hostile = hy.Function(symbols, sp.exp(symbols[0]) * symbols[1] + symbols[2] * symbols[3] ** 2, name="hostile")
    hostile.__doc__ = HOSTILE[0]
    return {
        "scalar": rosenbrock().report(folder / "scalar.html", at={"x": -0.5, "y": 0.8}, ranges={"x": (-2, 2)}),
        "vector": swing().report(folder / "vector.html", wrt="q", ranges={"q": ([-1, -2], [1, 2])}),
        "hostile": hostile.report(folder / "hostile.html", speed=False),
    }


@pytest.fixture(scope="module", params=["scalar", "vector", "hostile"])
def sheet(request, sheets):
    return Page(sheets[request.param].read_text(encoding="utf-8"))


def live(page):
    return json.loads(page.by_id("live-data").text)


# --- the page ---------------------------------------------------------------------------------------------------------
def test_ids_are_unique_and_all_references_lead_somewhere(sheet) -> None:
    assert len(set(sheet.ids)) == len(sheet.ids)
    for element in sheet.elements:
        for attribute in ("for", "aria-labelledby", "aria-describedby", "aria-controls", "data-copy"):
            for name in element.attributes.get(attribute, "").split():
                assert name in sheet.ids, f"{attribute}={name}"
    anchors = [a.attributes["href"] for a in sheet.all("a")]
    assert len(anchors) >= 7
    assert {anchor[1:] for anchor in anchors} <= set(sheet.ids)


def test_what_can_be_used_and_seen_has_a_name(sheet) -> None:
    labelled = {element.attributes["for"] for element in sheet.all("label")}
    for element in [*sheet.all("input"), *sheet.all("select")]:
        assert element.attributes.get("id") in labelled or element.attributes.get("aria-label")
    for button in sheet.all("button"):
        assert button.text.strip() or button.attributes.get("aria-label")
    for picture in sheet.all("svg"):
        assert picture.attributes.get("aria-hidden") == "true" or picture.attributes.get("aria-label")
    for region in [e for e in sheet.elements if e.attributes.get("role") == "group"]:
        assert region.attributes.get("aria-label") or region.attributes.get("aria-labelledby")
    assert len(sheet.all("main")) == len(sheet.all("nav")) == len(sheet.all("h1")) == 1


def test_nothing_is_asked_of_the_network(sheet) -> None:
    for element in sheet.elements:
        for attribute in ("src", "href", "srcset", "action", "data", "poster"):
            value = element.attributes.get(attribute, "#")
            assert value.startswith(("#", "data:")), f"<{element.tag} {attribute}={value}>"
        addresses = [v for name, v in element.attributes.items() if "://" in (v or "") and not name.startswith("xmlns")]
        assert addresses == []
    for style in sheet.all("style"):
        assert "url(" not in style.text
        assert "@import" not in style.text
    (policy,) = sheet.all("meta", http_equiv="Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none';")


def test_names_cannot_break_the_page(sheets) -> None:
    page = Page(sheets["hostile"].read_text(encoding="utf-8"))
    assert page.all("img") == []
    assert [script.attributes.get("type") for script in page.all("script")] in ([None], ["application/json", None])
    assert not [name for e in page.elements for name in e.attributes if name.startswith("on")]
    assert HOSTILE[0] in page.by_id("main").text


def test_the_same_page_on_every_run(tmp_path) -> None:
    first, second = (rosenbrock().report(tmp_path / f"{k}.html", speed=False).read_bytes() for k in range(2))
    assert first == second


def test_only_what_is_measured_changes(tmp_path) -> None:
    def rest(path):
        page = Page(path.read_text(encoding="utf-8"))
        measured = [e for e in page.elements if "data-measured" in e.attributes]
        inside = {id(part) for e in measured for part in e.walk()}
        return [(e.tag, e.attributes) for e in page.elements if id(e) not in inside], len(measured)

    first, count = rest(rosenbrock().report(tmp_path / "a.html"))
    second, _ = rest(rosenbrock().report(tmp_path / "b.html"))
    assert count >= 2
    assert first == second


# --- what it says -----------------------------------------------------------------------------------------------------
def test_the_formulas_are_those_of_the_function(sheets) -> None:
    f, page = rosenbrock(), Page(sheets["scalar"].read_text(encoding="utf-8"))
    derived = [f, f.gradient().simplify(), f.hessian().simplify()]
    assert [page.by_id(f"formula-{k}-latex").text for k in (1, 2, 3)] == [d.latex() for d in derived]
    assert len(page.all("math")) == 3


def test_counts_are_those_of_the_kernel(sheets) -> None:
    f = rosenbrock()
    kernel = hy.compile(f, f.gradient(), f.hessian())
    page = Page(sheets["scalar"].read_text(encoding="utf-8"))
    facts = {
        e.children[0].text: e.children[1].text for e in page.all("div") if [c.tag for c in tags(e)] == ["dt", "dd"]
    }
    assert facts["operations"] == f"{kernel.operations:,}"
    assert facts["before simplification"] == f"{kernel.operations_before:,}"
    text = page.by_id("check").text
    assert f"{kernel.certificate.entries:,} numbers" in text
    assert "rosenbrock_hessian" in text
    assert "void rosenbrock(" in page.by_id("code").text


def tags(element):
    return [child for child in element.children if not isinstance(child, str)]


def test_a_function_of_many_variables_is_shown_in_part(tmp_path) -> None:
    n = 50

    @hy.function(x=(n,))
    def chain(x):
        return np.sum(np.exp(np.sin(x[1:] * x[:-1])) + (x[1:] - x[:-1] ** 2) ** 2)

    path = chain.report(tmp_path / "chain.html", speed=False)
    text = path.read_text(encoding="utf-8")
    assert len(text) < 5_000_000
    page = Page(text)
    assert "50 × 50, 148 entries can be non-zero" in page.by_id("structure").text
    assert "up to 150 are drawn" in page.by_id("structure").text
    assert "chain_hessian was made by the method " in page.by_id("cost").text
    assert "of 50 inputs" in page.by_id("live").text or "no live panel" in page.by_id("live").text


@pytest.mark.long
def test_a_hessian_of_a_hundred_thousand_nodes(tmp_path) -> None:
    n = 4000

    @hy.function(rolled=False, x=(n,))
    def chain(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2) + np.sum(np.exp(np.sin(x[2:] * x[:-2])))

    hessian = chain.hessian(sparse=True)
    assert len(hessian.graph.reach(hessian.nodes)) > 100_000
    assert chain.report(tmp_path / "chain.html").stat().st_size < 5_000_000


def test_code_of_a_users_own_cannot_run_in_the_page(tmp_path) -> None:
    outside = hy.opaque(lambda q: float(q[0] * q[1]), {"q": (2,)}, jacobian=lambda q: q[::-1], name="outside")
    f = hy.function(q=(2,))(lambda q: np.exp(outside(q)))

    page = Page(f.report(tmp_path / "f.html", speed=False).read_text(encoding="utf-8"))
    assert "no live panel: " in page.by_id("live").text
    assert "outside" in page.by_id("live").text


def test_rolled_functions_are_written_out_or_refused(tmp_path) -> None:
    def pairs(n):
        @hy.function(rolled=True, x=(n,))
        def f(x):
            return np.sum(x[1:] ** 2 * x[:-1])

        return f

    page = Page(pairs(20).report(tmp_path / "f.html", speed=False).read_text(encoding="utf-8"))
    assert "20 × 20, 57 entries" in page.by_id("structure").text
    for function in (pairs(40_000), pairs(20).gradient()):
        with pytest.raises(hy.UnsupportedError, match="take one with smaller arrays"):
            function.report(tmp_path / "g.html")


def test_constants_planes_and_functions_of_one_variable(tmp_path) -> None:
    x, y = hy.symbols("x y")
    for name, inputs, body in (("plane", [x, y], 2 * x - y), ("constant", [x], sp.Integer(3)), ("log", [x], sp.log(x))):
        Page(hy.Function(inputs, body, name=name).report(tmp_path / "f.html", speed=False).read_text(encoding="utf-8"))


def test_options_that_do_not_fit(tmp_path) -> None:
    f = swing()
    for options, message in (
        ({"at": {"z": 1}}, "at names 'z'; swing has q, length"),
        ({"at": {"q": [1, 2, 3]}}, r"at for q needs one number or an array of shape \(2,\)"),
        ({"ranges": {"q": 3}}, r"ranges needs a pair \(low, high\) for q"),
        ({"ranges": {"q": (2, 1)}}, "finite low < high for q"),
        ({"ranges": {"q": (0, np.inf)}}, "finite low < high for q"),
        ({"wrt": "z"}, "no argument 'z'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            f.report(tmp_path / "f.html", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_fails_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    path = rosenbrock().report(tmp_path / "f.html", speed=False)
    before = path.read_bytes()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"hybrid\[report\]"):
        rosenbrock().report(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["f.html"]


def test_the_command(tmp_path) -> None:
    target = tmp_path / "sheet.html"
    done = CliRunner().invoke(main, ["report", "x**2*sin(y)", str(target), "--no-speed", "--name", "g"])
    assert done.exit_code == 0, done.output
    assert Page(target.read_text(encoding="utf-8")).by_id("name").text == "g"
    refused = CliRunner().invoke(main, ["report", "x*y", str(tmp_path / "missing" / "s.html"), "--no-speed"])
    assert refused.exit_code == 1
    assert "missing" in refused.output


# --- the kernel in it -------------------------------------------------------------------------------------------------
def number(code, at):
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def exports(code):
    """The names that a WebAssembly module exports."""
    assert code[:8] == b"\0asm\1\0\0\0"
    at, names = 8, []
    while at < len(code):
        section = code[at]
        size, at = number(code, at + 1)
        if section == 7:
            count, place = number(code, at)
            for _ in range(count):
                length, place = number(code, place)
                names.append(code[place : place + length].decode())
                _, place = number(code, place + length + 1)
        at += size
    return names


def test_the_kernel_is_in_the_page(sheets) -> None:
    for name, sizes in (("scalar", ([1, 1], [1, 2, 4])), ("vector", ([2, 1], [2, 4, 8]))):
        data = live(Page(sheets[name].read_text(encoding="utf-8")))
        assert {"memory", "kernel"} <= set(exports(base64.b64decode(data["wasm"], validate=True)))
        assert (data["arguments"], data["results"]) == sizes


def test_inputs_start_and_move_where_asked(sheets) -> None:
    scalar, vector = (live(Page(sheets[name].read_text(encoding="utf-8"))) for name in ("scalar", "vector"))
    assert scalar["start"] == [-0.5, 0.8]
    assert (scalar["controls"][0]["low"], scalar["controls"][0]["high"]) == (-2, 2)
    assert [(c["low"], c["high"]) for c in vector["controls"][:2]] == [(-1, 1), (-2, 2)]
    assert vector["variables"] == [0, 1]
    assert [c["text"] for c in vector["controls"]] == ["q[1]", "q[2]", "length"]


def test_inputs_stay_where_the_function_is_finite(tmp_path) -> None:
    x = hy.symbols("x")
    path = hy.Function([x], sp.log(x) + sp.sqrt(2 - x)).report(tmp_path / "f.html", speed=False)
    page = Page(path.read_text(encoding="utf-8"))
    slider = page.all("input", type="range")[0].attributes
    assert 0 < float(slider["min"]) < float(slider["value"]) < float(slider["max"]) <= 2


# --- pictures ---------------------------------------------------------------------------------------------------------
def test_the_certificate_counts_differences_by_size() -> None:
    f = rosenbrock()
    certificate = hy.compile(f, f.hessian()).certificate
    for finding in certificate.results:
        assert len(finding.histogram) == len(ULP_BINS) + 1
        assert sum(finding.histogram) == finding.entries
        beyond = [
            count for count, edge in zip(finding.histogram, (*ULP_BINS, np.inf), strict=True) if edge > finding.max_ulp
        ]
        assert sum(beyond[1:]) == 0
    assert len(re.findall('class="bar"', pictures.histogram(certificate))) >= 6


def test_small_patterns_are_drawn_square_by_square_and_large_ones_in_blocks() -> None:
    rows, columns = np.nonzero(np.tri(20, 20, 1) - np.tri(20, 20, -2))
    small = pictures.sparsity(Pattern((20, 20), rows, columns), "band")
    assert small.count("M") == len(rows)
    diagonal = np.arange(50_000)
    large = pictures.sparsity(Pattern((50_000, 50_000), diagonal, diagonal), "diagonal")
    assert large.count("M") == pictures.BLOCKS
    assert len(large) < 10_000


def test_nodes_of_the_graph_do_not_overlap_and_edges_go_down() -> None:
    f = swing()
    nodes, edges = expression_graph.boxes(f, f.graph.reach(f.nodes))
    assert sorted(node.content for node in nodes if node.kind == "input") == sorted(
        ["<i>q</i><sub>1</sub>", "<i>q</i><sub>2</sub>", "length"]
    )
    expression_graph.assign_levels(nodes, edges)
    routes = expression_graph.bend(nodes, edges)
    levels = expression_graph.ordered(nodes)
    expression_graph.place(nodes, levels)
    for level in levels:
        for left, right in pairwise(level):
            gap = nodes[right].x - nodes[left].x - (nodes[left].width + nodes[right].width) / 2
            assert gap >= expression_graph.GAP - 1e-6
    for route in routes:
        assert [nodes[n].level for n in route] == list(range(nodes[route[0]].level, nodes[route[-1]].level + 1))


def test_a_graph_of_too_many_nodes_is_not_drawn() -> None:
    @hy.function(x=(200,))
    def long(x):
        return np.sum(np.sin(x))

    assert expression_graph.draw(long) is None


@pytest.mark.parametrize(
    ("name", "index", "expected"),
    [
        ("sigma", (), "<i>σ</i>"),
        ("q_dot", (2,), "<i>q\u0307</i><sub>3</sub>"),
        ("x_1", (), "<i>x</i><sub>1</sub>"),
        ("T_max", (), "<i>T</i><sub>max</sub>"),
        ("rate", (0, 1), "rate<sub>1,2</sub>"),
        ("<b>", (), "<code>&lt;b&gt;</code>"),
    ],
)
def test_labels(name, index, expected) -> None:
    assert label(name, index).html == expected


def test_json_in_a_script_cannot_end_it() -> None:
    text = script_safe({"name": "</script><!-- &"})
    assert "<" not in text
    assert "&" not in text
    assert json.loads(text) == {"name": "</script><!-- &"}


# --- in a browser -----------------------------------------------------------------------------------------------------
READ = """
const read = (id) => page.$eval(id, (e) => Number(e.dataset.value));
const cells = (id) => page.$$eval(id + ' tbody td', (all) => all.map((e) => Number(e.dataset.value)));
const frame = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
const settle = async () => { await frame(); await frame(); };
await page.waitForSelector('#panel:not([hidden])');
"""


def test_values_follow_a_slider(sheets, tmp_path) -> None:
    script = (
        READ
        + """
    await page.$eval('#slider-0', (e) => { e.value = 1.25; e.dispatchEvent(new Event('input')); });
    await page.fill('#field-1', '-0.75');
    await settle();
    return { value: await read('#value'), slope: await read('#slope'), curvature: await read('#curvature'),
             first: await cells('#first'), second: await cells('#second'), field: await page.inputValue('#field-0'),
             curve: (await page.getAttribute('.curve[clip-path]', 'd')).length };
    """
    )
    found = drive(sheets["scalar"], script, tmp_path)
    f = rosenbrock()
    value, first, second = hy.compile(f, f.gradient(), f.hessian())(1.25, -0.75)
    np.testing.assert_allclose(found["value"], value, rtol=1e-14)
    np.testing.assert_allclose(found["first"], first, rtol=1e-14)
    np.testing.assert_allclose(found["second"], second.ravel(), rtol=1e-14)
    assert (found["slope"], found["curvature"]) == (found["first"][0], found["second"][0])
    assert found["field"] == "1.25"
    assert found["curve"] > 1000


def test_an_output_and_an_input_are_chosen_by_keyboard(sheets, tmp_path) -> None:
    script = (
        READ
        + """
    await page.focus('#output');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Tab');
    const along = await page.evaluate(() => document.activeElement.id);
    await page.keyboard.press('ArrowDown');
    await page.focus('#slider-0');
    const before = Number(await page.inputValue('#slider-0'));
    for (let k = 0; k < 5; k++) await page.keyboard.press('ArrowRight');
    await settle();
    await page.waitForTimeout(700);
    return { along, before, after: Number(await page.inputValue('#slider-0')), value: await read('#value'),
             slope: await read('#slope'), second: await cells('#second'), spoken: await page.textContent('#spoken'),
             inputs: await page.$$eval('input[type=range]', (all) => all.map((e) => Number(e.value))) };
    """
    )
    found = drive(sheets["vector"], script, tmp_path)
    assert found["along"] == "along"
    assert found["after"] > found["before"]
    q, length = np.array(found["inputs"][:2]), found["inputs"][2]
    f = swing()
    values, jacobian, hessian = hy.compile(f, f.jacobian("q"), f.hessian("q"))(q, length)
    np.testing.assert_allclose(found["value"], values[1], rtol=1e-13)
    np.testing.assert_allclose(found["slope"], jacobian[1, 1], rtol=1e-13)
    np.testing.assert_allclose(found["second"], hessian[1].ravel(), rtol=1e-13, atol=1e-15)
    assert "slope" in found["spoken"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("name", ["scalar", "vector", "hostile"])
def test_accessible_and_as_wide_as_the_screen(sheets, tmp_path, name, width, scheme) -> None:
    script = (
        READ
        + """
    for (const part of await page.$$('details')) await part.evaluate((e) => { e.open = true; });
    const source = require('fs').readFileSync(home + '/axe-core/axe.min.js', 'utf8');
    await context.newCDPSession(page).then((s) => s.send('Runtime.evaluate', { expression: source }));
    const found = await page.evaluate(() => axe.run());
    return { violations: found.violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120))]),
             wide: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth) };
    """
    )
    found = drive(sheets[name], script, tmp_path, width=width, scheme=scheme, needs=["axe-core"])
    assert found == {"violations": [], "wide": 0}


def test_colours_print_and_copying(sheets, tmp_path) -> None:
    script = """
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const system = await paper();
    await page.click('#theme');
    await page.click('#theme');
    const dark = await paper();
    await page.click('button[data-copy=formula-1-latex]');
    await page.waitForTimeout(100);
    const copied = await page.textContent('button[data-copy=formula-1-latex]');
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    const open = await page.$$eval('details', (all) => all.every((e) => e.open));
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    const closed = await page.$$eval('details', (all) => all.every((e) => !e.open));
    return { system, dark, copied, open, closed };
    """
    found = drive(sheets["scalar"], script, tmp_path)
    assert found["system"] != found["dark"]
    assert found["copied"] == "Copied"
    assert found["open"]
    assert found["closed"]
