"""How names are written: `sigma_1` becomes σ₁, `q_dot[2]` becomes q̇₃, and no two names are ever written alike.

A name is read as a base and subscripts: `x1`, `x_1` and `x_{1}` are x with subscript 1; `T_max` has an upright
subscript; Greek letters are spelled out (`alpha`, `Gamma`, also `lambda_`); `_dot`, `_ddot`, `_bar`, `_hat`, `_tilde`
and `_vec` are accents; a base of several letters is set upright. Anything else is set letter by letter with TeX's
special characters escaped, so no name can break the document or inject a command.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hybrid.errors import ArgumentError
from hybrid.graph import Variable

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "zeta": "ζ", "eta": "η", "theta": "θ",
    "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "upsilon": "υ", "phi": "ϕ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω", "varepsilon": "ε", "vartheta": "ϑ", "varphi": "φ", "varrho": "ϱ", "varsigma": "ς",
}  # fmt: skip
LETTERS = GREEK | {"ell": "ℓ", "hbar": "ℏ"}
SPELLED = {letter: name for name, letter in GREEK.items()} | {"ε": "epsilon", "φ": "phi"}
ACCENTS = {name: f"\\{name}" for name in ("dot", "ddot", "bar", "hat", "tilde", "vec")}
ESCAPES = {"\\": r"\textbackslash ", "~": r"\textasciitilde ", "^": r"\textasciicircum "} | {
    c: f"\\{c}" for c in "&%$#_{}"
}
TEMPORARIES = ("t", "u", "w", "s", "z", "v", "h", "c", "b", "a")

BRACED = re.compile(r"_\{([A-Za-z0-9, ]+)\}")
BASE = re.compile(r"(?P<letters>[^\W\d_]+)(?P<digits>\d*)")
SUBSCRIPT = re.compile(r"[^\W\d_]+|\d+|[^\W_]+")
CHUNKS = re.compile(r"\d+|\D+")

SortKey = tuple[tuple[int, int, str], ...]


@lru_cache(maxsize=4096)
def natural_key(name: str) -> SortKey:
    """Sorts x2 before x10, and a before B before c."""
    chunks = CHUNKS.findall(name)
    return (*((0, int(c), "") if c.isdecimal() else (1, 0, c.casefold()) for c in chunks), (2, 0, name))


def escape(text: str) -> str:
    """Any text inside a text command: TeX's special characters escaped, characters no TeX font has by code point."""
    return "".join(ESCAPES.get(c) or (c if typesettable(c) else f"U+{ord(c):04X}") for c in text)


def typesettable(character: str) -> bool:
    return " " <= character <= "~" or unicodedata.name(character, "").startswith(("LATIN", "CYRILLIC", "CJK UNIFIED"))


def literal(name: str) -> str:
    """The name letter by letter, when it has no mathematical reading or that reading is taken."""
    return rf"\texttt{{{escape(name)}}}" if name.isascii() and " " not in name else rf"\text{{{escape(name)}}}"


def letters(text: str, upright: str = "mathrm") -> str:
    """A letter, a Greek letter or an upright word."""
    if text in LETTERS:
        return f"\\{text}"
    if not text.isascii():
        return rf"\text{{{escape(text)}}}"
    return text if len(text) == 1 else rf"\{upright}{{{text}}}"


@dataclass(frozen=True)
class Reading:
    """A name as mathematics reads it: a letter or word, accents from the inside out, subscripts."""

    base: str
    accents: tuple[str, ...]
    subscripts: tuple[str, ...]

    def latex(self, index: Iterable[str] = (), bold: bool = False) -> str:
        text = self.base
        if bold:
            text = text.replace(r"\mathrm", r"\mathbf") if r"\mathrm" in text else rf"\boldsymbol{{{text}}}"
        for accent in self.accents:
            text = f"{accent}{{{text}}}"
        return subscripted(text, (*self.subscripts, *index))


def read_name(name: str, upright: str = "mathrm") -> Reading | None:
    """How a name is read, or None if it does not follow the grammar."""
    name = unicodedata.normalize("NFKC", name)
    name = BRACED.sub(lambda match: "_" + match[1].replace(",", "_").replace(" ", ""), name)
    for letter, spelled in SPELLED.items():
        name = name.replace(letter, spelled) if name.startswith(letter) else name.replace("_" + letter, "_" + spelled)
    name = name[1:] if name.startswith("\\") and name[1:].split("_")[0] in LETTERS else name
    first, *rest = name.removesuffix("_").split("_")
    match = BASE.fullmatch(first)
    if match is None or not all(part in ACCENTS or SUBSCRIPT.fullmatch(part) for part in rest):
        return None
    subscripts = [match["digits"]] if match["digits"] else []
    subscripts += [part if part.isdecimal() else letters(part) for part in rest if part not in ACCENTS]
    accents = tuple(ACCENTS[part] for part in rest if part in ACCENTS)
    return Reading(letters(match["letters"], upright), accents, tuple(subscripts))


def subscripted(base: str, subscripts: Iterable[str]) -> str:
    joined = ",".join(subscripts)
    return f"{base}_{{{joined}}}" if joined else base


class LaTeXNames:
    """Names in LaTeX. Whoever comes first gets the mathematical reading; a later name that would look the same is set
    in typewriter letters, and no variable is written like a constant of the expression.

    `symbol_names` maps a name (`"q"`), an element (`"q[0]"`) or a SymPy symbol to LaTeX that is taken as it is;
    elements are counted from `first_index`. No named part gets the letter of an argument or of one of `functions`.
    Raises ArgumentError for LaTeX with unbalanced braces.
    """

    def __init__(
        self,
        arguments: Iterable[tuple[str, tuple[int, ...]]],
        symbol_names: Mapping[Any, str] | None = None,
        first_index: int = 1,
        constants: Iterable[str] = (),
        functions: Iterable[str] = (),
    ) -> None:
        self.own = {str(name): checked(str(name), latex) for name, latex in (symbol_names or {}).items()}
        self.first_index = first_index
        self.taken: dict[str, object] = dict.fromkeys(constants)
        self.written: dict[object, str] = {}
        declared = list(arguments)
        for name, shape in declared:
            if not shape:
                self.variable(Variable(name))
        bases = {base_of(self.own.get(name, name)) for name in (*(name for name, _ in declared), *functions)}
        self.letter = next(letter for letter in (*TEMPORARIES, r"\mathrm{tmp}") if letter not in bases)

    def variable(self, variable: Variable) -> str:
        text = self.written.get(variable)
        if text is None:
            text = self.written[variable] = self._distinct(variable)
            self.taken[text] = variable
        return text

    def _distinct(self, variable: Variable) -> str:
        if str(variable) in self.own:
            return self.own[str(variable)]
        index = [str(i + self.first_index) for i in variable.index]
        if variable.name in self.own:
            text = subscripted(self.own[variable.name], index)
        else:
            parts = read_name(variable.name)
            text = parts.latex(index) if parts else subscripted(literal(variable.name), index)
        if text in self.taken:
            text = subscripted(literal(variable.name), index)
        while text in self.taken:
            text = f"{{{text}}}'"
        return text

    def argument(self, name: str, shape: tuple[int, ...]) -> str:
        """A scalar as its symbol, an array in bold."""
        if not shape:
            return self.variable(Variable(name))
        if name in self.own:
            return self.own[name]
        parts = read_name(name)
        return parts.latex(bold=True) if parts else literal(name)

    def function(self, name: str) -> str:
        """A function's own name: a letter as it is, a word as an operator."""
        if name in self.own:
            return self.own[name]
        parts = read_name(name, "operatorname") if is_letter(name.split("_")[0]) else None
        if parts:
            return parts.latex()
        return rf"\operatorname{{{escape(name) if name.isidentifier() and name.isascii() else literal(name)}}}"

    def temporary(self, number: int) -> str:
        return f"{self.letter}_{{{number}}}"


def is_letter(name: str) -> bool:
    """A letter with digits behind, if any: f, f2, phi; not a word."""
    match = BASE.fullmatch(name)
    return match is not None and (len(match["letters"]) == 1 or match["letters"] in LETTERS)


def base_of(name: str) -> str:
    parts = read_name(name)
    return parts.base if parts else name


def checked(name: str, latex: str) -> str:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            break
    if depth or not latex:
        raise ArgumentError(f"symbol_names[{name!r}] is {latex!r}: expected LaTeX with balanced braces")
    return latex


class TextNames:
    """Names in plain text: as in Python (`q[0]`, `x_1`), with Greek letters where that leaves names distinct."""

    def __init__(self, names: Sequence[str], functions: Iterable[str] = ()) -> None:
        greek = {name: "_".join(GREEK.get(part, part) for part in name.split("_")) for name in names}
        written = list(greek.values())
        self.names = {name: text if written.count(text) == 1 else name for name, text in greek.items()}
        bases = {re.split(r"[\d_]", name)[0] for name in (*names, *functions)}
        self.letter = next(letter for letter in (*TEMPORARIES, "tmp") if letter not in bases)

    def variable(self, variable: Variable) -> str:
        return str(Variable(self.names.get(variable.name, variable.name), variable.index))

    def arguments(self, names: Sequence[str]) -> str:
        shown = [self.names.get(name, name) for name in names]
        return ", ".join(shown if len(shown) <= 8 else [*shown[:3], "…", shown[-1]])

    def temporary(self, number: int) -> str:
        return f"{self.letter}{number}"
