"""Writes tests/corpus/expressions.txt: `python tests/support/corpus_maker.py`. The same seed makes the same file.

1,000 expressions of 5 to 500 operations, half of them below 50: what people write when they need derivatives. Five
families, 200 each: polynomials, rational functions, compositions of elementary functions, formulas of physics,
statistics and finance, and expressions whose parts come back in several places. A line is

    family | x0=1.3,0.7 x1=-0.2,2 | expression

with the values of every variable at two points where value and gradient are finite.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import exp, log
from pathlib import Path

import mpmath
from corpus import CORPUS, Line, value_and_gradient, written

SEED = 20_240_229
EACH = 200
SMALLEST, LARGEST = 5, 500
POINTS = 2
LARGEST_VALUE = 1e8  # of |value| and |gradient| at the points

Text = str
Random = random.Random


# --- small pieces -----------------------------------------------------------------------------------------------------
def group(text: Text) -> Text:
    """The text in brackets unless it is a name, a number or one call."""
    if text.replace("_", "").replace(".", "").isalnum():
        return text
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and (letter in "+-*/ " or (letter == ")" and position < len(text) - 1)):
            return f"({text})"
    return text


def call(name: str, *args: Text) -> Text:
    return f"{name}({', '.join(args)})"


def number(rng: Random) -> Text:
    kind = rng.random()
    if kind < 0.5:
        return str(rng.randint(2, 9))
    if kind < 0.85:
        return f"{rng.uniform(0.1, 5):.2g}"
    return f"{rng.uniform(0.1, 5):.4g}"


def names(rng: Random, most: int, size: int) -> list[Text]:
    return [f"x{i}" for i in range(rng.randint(1, min(most, 2 + size // 12)))]


def total(rng: Random, terms: list[Text]) -> Text:
    text = terms[0]
    for term in terms[1:]:
        text += (" + " if rng.random() < 0.7 else " - ") + term
    return text


# --- families ---------------------------------------------------------------------------------------------------------
def monomial(rng: Random, variables: list[Text], degree: int) -> Text:
    factors = [] if rng.random() < 0.3 else [number(rng)]
    for name in rng.sample(variables, min(len(variables), rng.randint(1, 3))):
        power = rng.randint(1, degree)
        factors.append(name if power == 1 else f"{name}**{power}")
    return "*".join(factors)


def polynomial(rng: Random, size: int) -> Text:
    variables = names(rng, 6, size)
    style = rng.random()
    if style < 0.2:  # dense in one variable
        x = variables[0]
        degree = max(2, min(24, size // 3))
        terms = [number(rng), f"{number(rng)}*{x}"]
        return total(rng, terms + [f"{number(rng)}*{x}**{power}" for power in range(2, degree + 1)])
    if style < 0.4:  # sums of powers of sums
        terms = []
        while sum(map(cost, terms)) < size:
            inner = total(rng, [monomial(rng, variables, 2) for _ in range(rng.randint(2, 4))])
            terms.append(f"({inner})**{rng.randint(2, 4)}")
        return total(rng, terms)
    terms = []
    while sum(map(cost, terms)) < size:
        terms.append(monomial(rng, variables, rng.randint(2, 5)))
    return total(rng, terms)


def rational(rng: Random, size: int) -> Text:
    terms: list[Text] = []
    while sum(map(cost, terms)) < size:
        variables = names(rng, 5, size)
        count = rng.randint(1, 3)
        above = total(rng, [monomial(rng, variables, 3) for _ in range(count)])
        below = " + ".join([number(rng), *(f"{v}**{rng.choice([2, 2, 4])}" for v in variables[: rng.randint(1, 3)])])
        if rng.random() < 0.3:
            below = f"({below})**{rng.choice([2, 3])}"
        terms.append(f"{group(above)}/{group(below)}")
    return total(rng, terms)


def positive(rng: Random, text: Text) -> Text:
    """Something above zero, made of any real expression."""
    return rng.choice([f"{number(rng)} + {group(text)}**2", f"{number(rng)} + {call('exp', bounded(rng, text))}",
                       f"{rng.randint(2, 4)} + {call('sin', text)}"])  # fmt: skip


def bounded(rng: Random, text: Text) -> Text:
    """Something of moderate size, made of any real expression."""
    return rng.choice([call("sin", text), call("cos", text), call("tanh", text), f"{group(text)}/{rng.randint(3, 9)}"])


def elementary(rng: Random, text: Text) -> Text:
    name = rng.choice(["exp", "exp", "log", "sqrt", "sin", "sin", "cos", "cos", "tanh", "atan", "power", "erf",
                       "sinh", "cosh", "log1p", "expm1", "asinh", "tan", "inverse"])  # fmt: skip
    if name in ("log", "sqrt"):
        return call(name, positive(rng, text))
    if name == "log1p":
        return call(name, f"{group(text)}**2")
    if name in ("exp", "sinh", "cosh", "expm1", "tan"):
        return call(name, bounded(rng, text))
    if name == "power":
        return f"{group(positive(rng, text))}**{rng.choice(['1.5', '0.5', '(-1.5)', '2.4', '(-2)', '(-0.5)'])}"
    if name == "inverse":
        return f"1/{group(positive(rng, text))}"
    return call(name, text)


def composition(rng: Random, size: int) -> Text:
    variables = names(rng, 6, size)
    pool = [rng.choice(variables) for _ in range(3)]
    while cost(pool[-1]) < size:
        a = pool[-1] if rng.random() < 0.8 else rng.choice(variables)
        b = rng.choice(variables) if rng.random() < 0.5 else elementary(rng, leaf(rng, variables))
        step = rng.random()
        if step < 0.4:
            pool.append(elementary(rng, a))
        elif step < 0.65:
            pool.append(f"{a} {rng.choice('+-')} {group(b)}")
        elif step < 0.9:
            pool.append(f"{group(a)}*{group(b)}")
        else:
            pool.append(f"{group(a)}/{group(positive(rng, b))}")
        if cost(pool[-1]) > 40 and rng.random() < 0.5:  # wide as well as deep
            part = composition(rng, min(size - cost(pool[-1]), rng.randint(10, 60)))
            pool.append(f"{pool[-1]} + {group(bounded(rng, part))}")
    return pool[-1]


def leaf(rng: Random, variables: list[Text]) -> Text:
    kind, x = rng.random(), rng.choice(variables)
    if kind < 0.4:
        return x
    if kind < 0.7:
        return f"{number(rng)}*{x}"
    return f"{x}*{rng.choice(variables)}"


def repeated(rng: Random, size: int) -> Text:
    """Sums of products of few parts: each part stands in several places."""
    variables = names(rng, 5, size)
    parts = [elementary(rng, total(rng, [leaf(rng, variables) for _ in range(rng.randint(1, 3))])) for _ in range(4)]
    parts += [elementary(rng, rng.choice(parts)) for _ in range(2 if size > 60 else 0)]
    terms: list[Text] = []
    while sum(map(cost, terms)) < size:
        chosen = rng.sample(parts + variables, rng.randint(1, 3))
        factors = [group(part) + (f"**{rng.randint(2, 4)}" if rng.random() < 0.3 else "") for part in chosen]
        terms.append("*".join(([number(rng)] if rng.random() < 0.5 else []) + factors))
    return total(rng, terms)


# --- formulas ---------------------------------------------------------------------------------------------------------
def distance(i: int, j: int) -> Text:
    return f"sqrt((x{i} - x{j})**2 + (y{i} - y{j})**2)"


def pairs(potential: Callable[[Random, Text], Text]) -> Callable[[Random, int], Text]:
    """The energy of particles in the plane, pair by pair."""

    def write(rng: Random, size: int) -> Text:
        terms: list[Text] = []
        for j in range(1, 12):
            for i in range(j):
                terms.append(potential(rng, distance(i, j)))
                if sum(map(cost, terms)) > size:
                    return " + ".join(terms)
        return " + ".join(terms)

    return write


def gaussians(rng: Random, size: int) -> Text:
    terms: list[Text] = []
    while sum(map(cost, terms)) < size:
        terms.append(f"{number(rng)}*exp(-((x - {number(rng)})**2 + (y - {number(rng)})**2)/(2*{number(rng)}**2))")
    return " + ".join(terms)


def planar_arm(rng: Random, size: int) -> Text:
    joints = max(2, min(7, size // 12))
    angles = [" + ".join(f"q{k}" for k in range(i + 1)) for i in range(joints)]
    lengths = [f"{rng.uniform(0.2, 1):.2g}" for _ in angles]
    x, y = ([f"{a}*{f}({q})" for a, q in zip(lengths, angles, strict=True)] for f in ("cos", "sin"))
    return f"({' + '.join(x)} - u)**2 + ({' + '.join(y)} - v)**2"


def pendulum(rng: Random, size: int) -> Text:
    return ("m*l**2*(w1**2 + w2**2/2 + w1*w2*cos(a1 - a2)) + m*g*l*(2*cos(a1) + cos(a2))"
            f" + {number(rng)}*sin(a1 - a2)**2")  # fmt: skip


def black_scholes(rng: Random, size: int) -> Text:
    d1 = "(log(S/K) + (r + s**2/2)*T)/(s*sqrt(T))"
    d2 = f"({d1} - s*sqrt(T))"
    return f"S*(1 + erf({d1}/sqrt(2)))/2 - K*exp(-r*T)*(1 + erf({d2}/sqrt(2)))/2"


def network(rng: Random, size: int) -> Text:
    hidden: list[Text] = []
    inputs = max(1, min(4, size // 20))
    while sum(map(cost, hidden)) < size:
        inner = " + ".join(f"{rng.uniform(0.1, 2):.2g}*x{i}" for i in range(inputs))
        unit = rng.choice([f"tanh({inner} + {number(rng)})", f"1/(1 + exp(-({inner})))", f"log(1 + exp({inner}))"])
        hidden.append(f"{number(rng)}*{unit}")
    return f"({total(rng, hidden)} - y)**2"


def likelihood(rng: Random, size: int) -> Text:
    terms: list[Text] = []
    while sum(map(cost, terms)) < size:
        terms.append(rng.choice([
            f"({number(rng)} - mu)**2/(2*sigma**2) + log(sigma)",
            f"log(1 + (({number(rng)} - mu)/sigma)**2) + log(sigma)",
            f"log(w*exp(-({number(rng)} - mu)**2/2)/sigma + (1 - w)*exp(-{number(rng)}**2/sigma**2))",
        ]))  # fmt: skip
    return " + ".join(terms)


def thermodynamics(rng: Random, size: int) -> Text:
    terms: list[Text] = []
    while sum(map(cost, terms)) < size:
        terms.append(rng.choice([
            "T/(V - 0.1) - 1.2/V**2",
            f"{number(rng)}*V**3/(exp(V/T) - 1)",
            f"{number(rng)}*exp(-{number(rng)}/T)*c/(K + c)",
            f"c**{rng.randint(2, 4)}/(K**2 + c**2)",
            f"T*(c*log(c) + {number(rng)}*K*log(K))",
            f"{number(rng)}*(1 - exp(-c*(V - {number(rng)})))**2",
        ]))  # fmt: skip
    return total(rng, terms)


def kinetic(rng: Random, size: int) -> Text:
    """Wave packets, damped oscillations and their like in x and t."""
    terms: list[Text] = []
    while sum(map(cost, terms)) < size:
        k = number(rng)
        terms.append(rng.choice([
            f"A*exp(-g*t)*cos({k}*x - w*t)",
            f"A/cosh({k}*(x - w*t))**2",
            f"exp(-(x - w*t)**2/(2*g**2))*sin({k}*x)/g",
            f"A*sin({k}*x)*cos({k}*w*t)",
            "A/sqrt((w**2 - x**2)**2 + (2*g*x)**2)",
            f"A*tanh({k}*(x - w*t))",
            "1/sqrt(1 - (w/9)**2)",
        ]))  # fmt: skip
    return total(rng, terms)


def optimisation(rng: Random, size: int) -> Text:
    """The test functions of optimisation."""
    count = max(2, min(40, size // 7))
    kind = rng.randrange(4)
    if kind == 0:
        return " + ".join(f"100*(x{i + 1} - x{i}**2)**2 + (1 - x{i})**2" for i in range(count - 1))
    if kind == 1:
        return f"{10 * count} + " + " + ".join(f"x{i}**2 - 10*cos(2*pi*x{i})" for i in range(count))
    squares, waves = (" + ".join(t.format(i) for i in range(count)) for t in ("x{}**2", "cos(2*pi*x{})"))
    if kind == 2:
        return f"-20*exp(-0.2*sqrt(({squares})/{count})) - exp(({waves})/{count}) + 20 + E"
    product = "*".join(f"cos(x{i}/sqrt({i + 1}))" for i in range(count))
    return f"1 + ({squares})/4000 - {product}"


FORMULAS: tuple[Callable[[Random, int], Text], ...] = (
    pairs(lambda rng, r: f"4*(({number(rng)}/{r})**12 - (1/{r})**6)"),
    pairs(lambda rng, r: f"{number(rng)}/{r}"),
    pairs(lambda rng, r: f"{number(rng)}*(1 - exp(-{number(rng)}*({r} - 1)))**2"),
    pairs(lambda rng, r: f"{number(rng)}*exp(-{r})/{r}"),
    gaussians, planar_arm, pendulum, black_scholes, network, network, likelihood, thermodynamics, thermodynamics,
    kinetic, kinetic, optimisation, optimisation,
)  # fmt: skip


def formula(rng: Random, size: int) -> Text:
    return rng.choice(FORMULAS)(rng, size)


# --- the file ---------------------------------------------------------------------------------------------------------
FAMILIES = (polynomial, rational, composition, formula, repeated)


def cost(text: Text) -> int:
    """About how many operations a text takes."""
    spaced = text.count(" + ") + text.count(" - ") + text.count("-(")
    return spaced + text.count("*") - text.count("**") + text.count("/") + text.count("(") // 2


def points(rng: Random, line: Line) -> Line | None:
    """The line with points where value and gradient are finite and not huge, or None if none is found soon."""
    found: list[dict[str, float]] = []
    for attempt in range(12):
        lower = 0.3 if attempt % 2 or line.family == "formula" else -1.5
        point = {name: round(rng.uniform(lower, 1.8), 3) for name in line.variables}
        try:
            with mpmath.workdps(30):
                value, gradient = value_and_gradient(line, point)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            continue
        if all(
            isinstance(v, mpmath.mpf) and mpmath.isfinite(v) and abs(v) < LARGEST_VALUE
            for v in (value, *gradient.values())
        ):
            found.append(point)
        if len(found) == POINTS:
            return Line(line.family, tuple(found), line.expression)
    return None


def make(seed: int = SEED, each: int = EACH) -> list[Line]:
    rng = Random(seed)
    lines: list[Line] = []
    seen: set[Text] = set()
    for number_of_line in range(each * len(FAMILIES)):
        family = FAMILIES[number_of_line % len(FAMILIES)]
        while True:
            size = int(exp(rng.uniform(log(SMALLEST), log(LARGEST))))
            text = family(rng, size)
            line = points(rng, Line(family.__name__, (), text)) if text not in seen else None
            if line is not None and line.variables and SMALLEST <= line.operations() <= LARGEST:
                break
        seen.add(text)
        lines.append(line)
    return lines


if __name__ == "__main__":
    CORPUS.parent.mkdir(exist_ok=True)
    CORPUS.write_text("".join(written(line) + "\n" for line in make()))
    print(f"{CORPUS}: {CORPUS.stat().st_size:,} bytes", Path.cwd())
