"""The elements of presentation MathML that formulas are made of, as text.

What MathML Core has and browsers set without a style sheet: alignment and rules of tables are inline styles, alphabets
are Unicode's mathematical letters, since `mathvariant` is no longer set.
"""

from __future__ import annotations

from html import escape

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
TIMES, APPLY = (
    "<mo>&#x2062;</mo>",
    "<mo>&#x2061;</mo>",
)  # invisible: between factors, between a function and its argument
SPACES = {r"\,": "0.17em", r"\:": "0.22em", r"\;": "0.28em", r"\ ": "0.25em", "~": "0.25em", r"\quad": "1em",
          r"\qquad": "2em"}  # fmt: skip

# First letters of Unicode's mathematical alphabets: of A, a, Α, α and 0; None where there is none.
ALPHABETS: dict[str, tuple[int | None, ...]] = {
    "bold": (0x1D400, 0x1D41A, 0x1D6A8, 0x1D6C2, 0x1D7CE),
    "bold-italic": (0x1D468, 0x1D482, 0x1D71C, 0x1D736, 0x1D7CE),
    "sans-serif": (0x1D5A0, 0x1D5BA, None, None, 0x1D7E2),
    "monospace": (0x1D670, 0x1D68A, None, None, 0x1D7F6),
    "script": (0x1D49C, 0x1D4B6, None, None, None),
    "double-struck": (0x1D538, 0x1D552, None, None, 0x1D7D8),
    "fraktur": (0x1D504, 0x1D51E, None, None, None),
}
STARTS = (("A", 26), ("a", 26), ("Α", 25), ("α", 25), ("0", 10))
# Letters that Unicode had before its alphabets, and variants of Greek letters after them.
ELSEWHERE = {
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
    "fraktur": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
    "bold-italic": dict(zip("∂ϵϑϰϕϱϖ∇", "𝝏𝝐𝝑𝝒𝝓𝝔𝝕𝜵", strict=True)),
    "bold": dict(zip("∂ϵϑϰϕϱϖ∇", "𝛛𝛜𝛝𝛞𝛟𝛠𝛡𝛁", strict=True)),
}


def in_alphabet(text: str, alphabet: str) -> str:
    """Letters and digits in one of Unicode's mathematical alphabets; others as they are."""
    return "".join(letter_in(character, alphabet) for character in text)


def letter_in(character: str, alphabet: str) -> str:
    own = ELSEWHERE.get(alphabet, {}).get(character)
    if own is not None:
        return own
    for (first, count), start in zip(STARTS, ALPHABETS[alphabet], strict=True):
        if start is not None and 0 <= ord(character) - ord(first) < count:
            return chr(start + ord(character) - ord(first))
    return character


def identifier(text: str, upright: bool = False) -> str:
    """A letter in italics, a word upright; `upright` matters for one letter only."""
    normal = ' mathvariant="normal"' if upright and len(text) == 1 else ""
    return f"<mi{normal}>{escape(text)}</mi>"


def number(text: str) -> str:
    return f"<mn>{text}</mn>"


def operator(text: str, **attributes: str) -> str:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<mo{written}>{escape(text)}</mo>"


def words(text: str, monospace: bool = False) -> str:
    style = ' style="font-family: monospace"' if monospace else ""
    return f"<mtext{style}>{escape(text)}</mtext>"


def space(width: str) -> str:
    return f'<mspace width="{width}"/>'


def fence(text: str, stretchy: bool) -> str:
    return operator(text, fence="true", stretchy="true" if stretchy else "false")


def element(name: str, *children: str, **attributes: str) -> str:
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(children)}</{name}>"


def scripted(base: str, below: str | None, above: str | None, limits: bool) -> str:
    """A base with scripts at its right, or with limits below and above it."""
    names = ("munder", "mover", "munderover") if limits else ("msub", "msup", "msubsup")
    if below is not None and above is not None:
        return element(names[2], base, below, above)
    if below is not None:
        return element(names[0], base, below)
    return base if above is None else element(names[1], base, above)
