"""Presentation MathML of functions: the LaTeX that this package prints, translated for browsers.

The LaTeX printer has decided everything: what is shown, names, parentheses, line breaks. What remains is a translation
of its small language, token by token with a stack, so that MathML has every option of LaTeX and nesting costs no
recursion. LaTeX of the user's own, in names of symbols, may use the commands of the tables below; any other command
is shown as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from hybrid.errors import ArgumentError
from hybrid.printing.captions import Printable
from hybrid.printing.latex import latex
from hybrid.printing.mathml_tree import (
    APPLY,
    NAMESPACE,
    SPACES,
    TIMES,
    element,
    fence,
    identifier,
    in_alphabet,
    number,
    operator,
    scripted,
    space,
    words,
)
from hybrid.printing.naming import LETTERS

TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\d+(?:\.\d+)?|[^\s]", re.DOTALL)
TEXTS = (r"\text", r"\texttt", r"\mathrm", r"\operatorname", r"\mathbf", r"\mathsf", r"\mathtt", r"\mathit",
         r"\mathcal", r"\mathbb", r"\mathfrak", r"\mathscr", r"\label", r"\begin", r"\end")  # fmt: skip
UNESCAPED = {r"\textbackslash": "\\", r"\textasciitilde": "~", r"\textasciicircum": "^"}
TEXT_PART = re.compile(r"(\\text[a-z]+) ?|\\(.)|(.)", re.DOTALL)

WORDS = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "exp", "log", "ln", "min", "max",
         "det", "lim", "sup", "inf", "dim", "ker", "cot", "sec", "csc", "coth", "arg", "gcd", "deg", "Pr")  # fmt: skip
SYMBOLS = {
    "nabla": "∇", "partial": "∂", "infty": "∞", "star": "⋆", "ast": "∗", "dagger": "†", "prime": "′", "top": "⊤",
    "bot": "⊥", "perp": "⊥", "circ": "∘", "imath": "ı", "jmath": "ȷ", "Re": "ℜ", "Im": "ℑ", "aleph": "ℵ",
    "emptyset": "∅", "omicron": "ο", "varpi": "ϖ", "varkappa": "ϰ", "digamma": "ϝ", "bullet": "∙", "ldots": "…",
    "dots": "…",
}  # fmt: skip
OPERATORS = {
    "cdot": "⋅", "times": "×", "leq": "≤", "geq": "≥", "neq": "≠", "le": "≤", "ge": "≥", "ne": "≠", "wedge": "∧",
    "vee": "∨", "veebar": "⊻", "neg": "¬", "pm": "±", "mp": "∓", "to": "→", "mapsto": "↦", "in": "∈", "approx": "≈",
    "equiv": "≡", "otimes": "⊗", "oplus": "⊕", "sim": "∼", "cdots": "⋯", "vdots": "⋮", "ddots": "⋱", "mid": "∣",
    "colon": ":",
}  # fmt: skip
DOTS = ("cdots", "vdots", "ddots")
LARGE = {"sum": "∑", "prod": "∏", "int": "∫"}
ACCENTS = {"dot": "˙", "ddot": "¨", "dddot": "⃛", "bar": "¯", "hat": "ˆ", "tilde": "˜", "vec": "→", "overline": "¯",
           "widehat": "^", "widetilde": "~", "check": "ˇ", "breve": "˘", "acute": "´", "grave": "`"}  # fmt: skip
ALPHABETS = {"boldsymbol": "bold-italic", "bm": "bold-italic", "mathbf": "bold", "mathsf": "sans-serif",
             "mathtt": "monospace", "mathcal": "script", "mathscr": "script", "mathbb": "double-struck",
             "mathfrak": "fraktur"}  # fmt: skip
FENCES = {"(": "(", ")": ")", "[": "[", "]": "]", r"\{": "{", r"\}": "}", r"\lfloor": "⌊", r"\rfloor": "⌋",
          r"\lceil": "⌈", r"\rceil": "⌉", r"\langle": "⟨", r"\rangle": "⟩", r"\lvert": "|", r"\rvert": "|",
          r"\lVert": "‖", r"\rVert": "‖", "|": "|", r"\|": "‖", ".": ""}  # fmt: skip
PAIRS = {"(": ")", "[": "]", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\langle": r"\rangle",
         r"\lvert": r"\rvert", r"\lVert": r"\rVert"}  # fmt: skip
AROUND = {"bmatrix": "[]", "pmatrix": "()", "Bmatrix": "{}", "vmatrix": "||", "Vmatrix": "‖‖", "cases": "{"}
ARGUMENTS = {"frac": 2, "dfrac": 2, "tfrac": 2, "sqrt": 1, "underbrace": 1, "boldsymbol": 1, "bm": 1,
             **dict.fromkeys(ACCENTS, 1)}  # fmt: skip
IGNORED = (r"\displaystyle", r"\textstyle", r"\limits", r"\nolimits", r"\notag", r"\nonumber", r"\!")


class Kind(Enum):
    """What stands beside a thing says whether it is multiplied, applied or neither."""

    OPERAND = "operand"
    FENCED = "fenced"
    FUNCTION = "function"
    QUANTIFIER = "quantifier"  # ∇ and ∂, set close to what follows
    OPERATOR = "operator"
    SPACE = "space"
    TEXT = "text"


@dataclass(frozen=True)
class Item:
    """A thing on a line, its scripts, and for letters the text, which an alphabet or an accent changes."""

    markup: str
    kind: Kind = Kind.OPERAND
    below: str | None = None
    above: str | None = None
    limits: bool = False
    letters: str = ""
    close: bool = False  # a fence set close to what stands before it: f(x) is no product

    @property
    def full(self) -> str:
        return scripted(self.markup, self.below, self.above, self.limits)


@dataclass
class Frame:
    """What is open: a group, a pair of fences, a table, or a command that waits for arguments."""

    close: str
    items: list[Item] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    open: str = ""
    near: bool = False  # whether it was opened without a space before
    columns: str = ""
    lines: list[int] = field(default_factory=list)
    wants: int = 0
    root: str | None = None
    left: bool = False  # whether what comes is the left side of an equation, where f (x) is no product


def mathml(function: Printable, display: str = "block", **options: Any) -> str:
    r"""Presentation MathML of a function, one `<math>` element; the options are those of `latex`.

    display: "block" for a formula on its own, "inline" within text. Numbered styles and labels are LaTeX's alone:
    ArgumentError. Pictures of sparsity are left to the page. The element is well-formed XML and MathML Core, which
    current browsers set without a script.
    """
    if options.get("style", "plain") != "plain" or options.get("label") is not None:
        raise ArgumentError("MathML has no numbered equations: leave out style and label, and number in the page")
    if display not in ("block", "inline"):
        raise ArgumentError(f"display is {display!r}: expected 'block' or 'inline'")
    return translate(latex(function, **options | {"picture": False}), display)


def translate(text: str, display: str = "block") -> str:
    """A `<math>` element for LaTeX as this package prints it."""
    return element("math", Translator(text).result(), xmlns=NAMESPACE, display=display)


class Translator:
    """Reads tokens from left to right; the stack holds what is open."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.stack = [Frame("")]

    def result(self) -> str:
        while (token := self._next()) is not None:
            self._take(token)
        while len(self.stack) > 1:  # braces of the user's that do not match
            self._flatten()
        items = self.stack[0].items
        return row(items, left=any(item.markup == EQUALS for item in items))

    # --- tokens -------------------------------------------------------------------------------------------------------
    def _next(self) -> str | None:
        match = TOKEN.search(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def _raw(self) -> str:
        """What stands between the next braces, as it is written."""
        start = self.text.find("{", self.at)
        if start < 0 or self.text[self.at : start].strip():
            return self._next() or ""
        depth, at = 1, start + 1
        while depth and at < len(self.text):
            step = 2 if self.text[at] == "\\" else 1
            depth += {"{": 1, "}": -1}.get(self.text[at], 0)
            at += step
        self.at = at
        return self.text[start + 1 : at - 1]

    def _take(self, token: str) -> None:
        top = self.stack[-1]
        if token in TEXTS:
            self._named(token)
        elif token in ("^", "_"):
            self.stack.append(Frame(token, wants=1))
        elif token == "{":
            self.stack.append(Frame("}"))
        elif token == r"\left":
            near = self._near(token)
            self.stack.append(Frame(r"\right", open=self._next() or ".", near=near))
        elif token in PAIRS and not top.wants:
            self.stack.append(Frame(PAIRS[token], open=token, near=self._near(token)))
        elif token == top.close and not top.wants:
            self._close(token)
        elif token in ("}", r"\right") or token in PAIRS.values():
            self._close_over(token)
        elif token in ("&", r"\\", r"\hline"):
            self._table(token)
        else:
            self._simple(token)

    def _named(self, token: str) -> None:
        raw = self._raw()
        if token == r"\begin":
            self._begin(raw)
        elif token == r"\end":
            if any(frame.close == r"\end" for frame in self.stack):
                while self.stack[-1].close != r"\end":
                    self._flatten()
                self._end(raw)
        elif token in (r"\text", r"\texttt"):
            text = plain(raw)
            monospace = token == r"\texttt"
            kind = Kind.OPERAND if monospace or text.strip() == text else Kind.TEXT
            self._give(Item(words(text.replace(" ", "\N{NO-BREAK SPACE}"), monospace), kind))
        elif token == r"\operatorname":
            self._give(Item(identifier(plain(raw), upright=True), Kind.FUNCTION))
        elif token in (r"\mathrm", r"\mathit"):
            self._give(Item(identifier(plain(raw), upright=token == r"\mathrm"), letters=plain(raw)))
        elif token != r"\label":
            self._give(Item(identifier(in_alphabet(plain(raw), ALPHABETS[token[1:]]), upright=True)))

    def _simple(self, token: str) -> None:
        name = token[1:] if token.startswith("\\") else ""
        if token in IGNORED:
            return
        if token == r"\sqrt" and self.text[self.at : self.at + 1] == "[":
            end = self.text.index("]", self.at)
            self.stack.append(Frame(token, wants=1, root=row(Translator(self.text[self.at + 1 : end]).stack_items())))
            self.at = end + 1
        elif name in ARGUMENTS:
            self.stack.append(Frame(token, wants=ARGUMENTS[name]))
        elif token in SPACES:
            self._give(Item(space(SPACES[token]), Kind.SPACE))
        else:
            self._give(symbol(token, name, self._prefix()))

    def _prefix(self) -> bool:
        """Whether a sign here has nothing before it that it could take something from."""
        items = [item for item in self.stack[-1].items if item.kind is not Kind.SPACE]
        return not items or items[-1].kind in (Kind.OPERATOR, Kind.TEXT)

    def _near(self, token: str) -> bool:
        before = self.at - len(token) - 1
        return before >= 0 and not self.text[before].isspace()

    # --- what opens and closes ----------------------------------------------------------------------------------------
    def _close(self, token: str) -> None:
        frame = self.stack.pop()
        content = row(frame.items)
        if token == "}":
            letters = frame.items[0].letters if len(frame.items) == 1 and frame.items[0].full == content else ""
            kind = frame.items[0].kind if len(frame.items) == 1 else Kind.OPERAND
            self._give(Item(content, kind, letters=letters))
            return
        stretchy = token == r"\right"
        closing = self._next() or "." if stretchy else token
        fences = [FENCES.get(side, side) for side in (frame.open, closing)]
        left, right = (fence(side, stretchy) if side else "" for side in fences)
        self._give(Item(element("mrow", left, content, right), Kind.FENCED, close=frame.near))

    def _close_over(self, token: str) -> None:
        """A closing token for something further out: fences between are single characters."""
        if not any(frame.close == token and not frame.wants for frame in self.stack):
            if token in FENCES:
                self._give(Item(fence(FENCES[token], False), Kind.OPERATOR))
            return
        while self.stack[-1].close != token or self.stack[-1].wants:
            self._flatten()
        self._close(token)

    def _flatten(self) -> None:
        frame = self.stack.pop()
        below = self.stack[-1]
        if frame.open:
            below.items.append(Item(fence(FENCES.get(frame.open, frame.open), False), Kind.OPERATOR))
        below.items += frame.items

    def _begin(self, name: str) -> None:
        columns = self._raw() if name == "array" else ""
        left = name == "aligned"
        self.stack.append(Frame(r"\end", open=name, columns=columns, left=left))

    def _table(self, token: str) -> None:
        while self.stack[-1].close != r"\end" and len(self.stack) > 1:
            self._flatten()
        frame = self.stack[-1]
        if token == r"\hline":
            frame.lines.append(len(frame.rows))
            return
        frame.cells.append(row(frame.items, frame.left))
        frame.items.clear()
        frame.left = False
        if token == r"\\":
            if gap := re.compile(r"\s*\[-?[\d.]+(?:pt|em|ex)\]").match(self.text, self.at):
                self.at = gap.end()
            frame.rows.append(frame.cells)
            frame.cells = []
            frame.left = frame.open == "aligned"

    def _end(self, name: str) -> None:
        frame = self.stack.pop()
        if frame.items or frame.cells:
            frame.rows.append([*frame.cells, row(frame.items)])
        table = table_of(frame, name)
        around = AROUND.get(name, "")
        sides = [fence(side, True) for side in around]
        markup = element("mrow", sides[0], table, *sides[1:]) if around else table
        self._give(Item(markup, Kind.FENCED))

    # --- what commands make of their arguments ------------------------------------------------------------------------
    def _give(self, item: Item) -> None:
        """An item to what is open; a command that has all its arguments becomes an item itself."""
        while True:
            top = self.stack[-1]
            top.items.append(item)
            if not top.wants or len(top.items) < top.wants:
                return
            self.stack.pop()
            if top.close in ("^", "_"):
                self._attach(top.close, item.full)
                return
            item = applied(top.close[1:], top.items, top.root)

    def _attach(self, place: str, script: str) -> None:
        items = self.stack[-1].items
        base = items.pop() if items else Item("<mrow></mrow>")
        if (base.above if place == "^" else base.below) is not None:
            base = Item(base.full, base.kind)
        items.append(replace(base, above=script) if place == "^" else replace(base, below=script))

    def stack_items(self) -> Sequence[Item]:
        self.result()
        return self.stack[0].items


def plain(raw: str) -> str:
    """The characters of LaTeX text."""

    def meant(match: re.Match[str]) -> str:
        return UNESCAPED.get(match[1], match[1]) if match[1] else str(match[2] or match[3])

    return TEXT_PART.sub(meant, raw)


def symbol(token: str, name: str, prefix: bool) -> Item:
    """A token that stands for itself."""
    if token[0].isdigit():
        return Item(number(token), letters=token)
    if name in WORDS:
        return Item(identifier(name), Kind.FUNCTION)
    if name in LARGE:
        return Item(operator(LARGE[name], largeop="true", movablelimits="false"), Kind.OPERATOR, limits=True)
    if name == "bmod":
        return Item(operator("mod", lspace="0.28em", rspace="0.28em"), Kind.OPERATOR)
    if name in OPERATORS:
        kind = Kind.OPERAND if name in DOTS else Kind.OPERATOR
        return Item(operator(OPERATORS[name], **({"form": "prefix"} if name == "neg" else {})), kind)
    letter = LETTERS.get(name) or SYMBOLS.get(name)
    if letter is not None:
        upright = name in SYMBOLS or letter.isupper()
        kind = Kind.QUANTIFIER if name in ("nabla", "partial") else Kind.OPERAND
        return Item(identifier(letter, upright), kind, letters=letter)
    if name:
        return Item(words(token)) if name.isalpha() else Item(operator(name), Kind.OPERATOR)
    if token == "'":
        return Item(operator("′"), Kind.OPERATOR)
    if token.isalpha():
        return Item(identifier(token), letters=token)
    shown = "−" if token == "-" else token
    return Item(operator(shown, **({"form": "prefix"} if prefix and token in "+-" else {})), Kind.OPERATOR)


def applied(name: str, given: Sequence[Item], root: str | None) -> Item:
    """A command on its arguments."""
    arguments = [item.full for item in given]
    if name.endswith("frac"):
        return Item(element("mfrac", *arguments))
    if name == "sqrt":
        return Item(element("msqrt", arguments[0]) if root is None else element("mroot", arguments[0], root))
    if name == "underbrace":
        return Item(element("munder", arguments[0], operator("⏟", stretchy="true")), limits=True)
    if name in ALPHABETS:
        letters = given[0].letters
        markup = identifier(in_alphabet(letters, ALPHABETS[name]), upright=True) if letters else arguments[0]
        return Item(markup, letters=letters)
    # not accent="true", with which Chromium sets the mark into a low letter
    stretched = "true" if name.startswith(("wide", "over")) else "false"
    return Item(element("mover", arguments[0], operator(ACCENTS[name], stretchy=stretched)))


def row(items: Sequence[Item], left: bool = False) -> str:
    """Items beside each other, with the invisible operators between them; one element whatever their number."""
    if len(items) == 1:
        return items[0].full
    parts: list[str] = []
    before: Item | None = None
    for item in items:
        if before is not None:
            parts.append(between(before, item, left))
        parts.append(item.full)
        left = left and item.markup != EQUALS
        before = item if item.kind is not Kind.SPACE else before
    return element("mrow", *parts)


def between(before: Item, item: Item, left: bool) -> str:
    operands = (Kind.OPERAND, Kind.FENCED, Kind.FUNCTION, Kind.QUANTIFIER)
    if before.kind not in operands or item.kind not in operands:
        return ""
    if before.kind in (Kind.FUNCTION, Kind.QUANTIFIER) or item.close:
        return APPLY + (THIN if before.kind is Kind.FUNCTION and item.kind is not Kind.FENCED else "")
    return ("" if left else TIMES) + (THIN if item.kind is Kind.FUNCTION else "")


EQUALS = operator("=")
# What a column of MathML's own is aligned by differs from the text in it: Chromium's name for that comes last.
LEFT, RIGHT = (f"text-align: {side}; text-align: -webkit-{side}" for side in ("left", "right"))
THIN = space(SPACES[r"\,"])
ALIGNED = (f"{RIGHT}; padding-right: 0", f"{LEFT}; padding-left: 0")
CASES = (f"{LEFT}; padding-left: 0", f"{LEFT}; padding-left: 1em")


def table_of(frame: Frame, name: str) -> str:
    """The rows of an environment; rows without anything in them are room, which tables have in any case."""
    columns = re.sub(r"\s|[{}]", "", frame.columns)
    style = cell_styles(columns, name)
    rows = []
    for number_, cells in enumerate(frame.rows):
        if not any(cell != "<mrow></mrow>" for cell in cells):
            continue
        ruled = number_ in frame.lines
        rows.append(element("mtr", *[cell_of(cell, style(i), ruled) for i, cell in enumerate(cells)]))
    attributes = {"displaystyle": "true"} if name == "aligned" else {}
    return element("mtable", *rows, **attributes)


def cell_of(cell: str, style: str, ruled: bool) -> str:
    styles = "; ".join(filter(None, [style, "border-top: 1px solid" if ruled else ""]))
    return element("mtd", cell, **({"style": styles} if styles else {}))


def cell_styles(columns: str, name: str) -> Callable[[int], str]:
    if name == "aligned":
        return lambda i: ALIGNED[i % 2]
    if name == "cases":
        return lambda i: CASES[min(i, 1)]
    found: list[str] = []
    ruled = False
    for letter in columns:
        if letter == "|":
            ruled = True
            continue
        side = {"l": LEFT, "r": RIGHT}.get(letter, "")
        found.append("; ".join(filter(None, [side, "border-left: 1px solid" if ruled else ""])))
        ruled = False
    return lambda i: found[i] if i < len(found) else ""
