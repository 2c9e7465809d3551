"""The rare paths of vector functions, taken out of a program's modules into modules that all programs share.

A vector function keeps what few arguments need (reducing the sine of 10²⁰, say) in a function of its own, marked
`cold noinline`. Its code is the same for every program of a target and can be half of what a small program compiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_DEFINITION = re.compile(
    r"^define internal [^\n]*? (?P<function>@[\w.]+)\((?P<rest>[^\n]*)\{\n.*?^\}\n|^(?P<global>@[\w.]+) = [^\n]*\n",
    re.MULTILINE | re.DOTALL,
)
_COLD = re.compile(r"^define internal [^\n]* cold noinline ")
_SYMBOL = re.compile(r"@hy[\w.]*")


@lru_cache(maxsize=64)
def separate(text: str) -> tuple[str, tuple[str, ...]]:
    """IR text of vector functions without its rare paths, which it declares instead, and a module text for each.

    A rare path comes with everything it calls, other rare paths apart. `text` is that of `vector_math.define`.
    """
    definitions = {match["function"] or match["global"]: match[0] for match in _DEFINITION.finditer(text)}
    cold = {symbol for symbol, definition in definitions.items() if _COLD.match(definition)}
    if not cold:
        return text, ()
    # What the common paths need stays, in the order it was written.
    common = [symbol for symbol in definitions if symbol not in cold]
    called = cold & {other for symbol in common for other in _symbols(definitions[symbol])}
    reached, waiting = set(called), list(called)
    modules = []
    for symbol in waiting:  # grows while rare paths call further ones
        needed = _closure(definitions, cold, symbol)
        further = sorted(cold & set(needed) - {symbol})
        waiting += [other for other in further if other not in reached]
        reached |= set(further)
        inside = [definitions[other] for other in definitions if other in needed and other not in cold]
        visible = definitions[symbol].replace("define internal", "define dso_local", 1)
        modules.append("\n".join([visible, *inside, *(declaration(definitions[other]) for other in further)]))
    kept = [definitions[symbol] for symbol in common]
    return "\n".join([*kept, *(declaration(definitions[symbol]) for symbol in sorted(called))]), tuple(sorted(modules))


def _symbols(definition: str) -> set[str]:
    return set(_SYMBOL.findall(definition))


def _closure(definitions: dict[str, str], cold: Iterable[str], symbol: str) -> set[str]:
    """What a definition refers to, directly or through others that are not rare paths themselves."""
    found: set[str] = set()
    stack = [symbol]
    while stack:
        for other in _symbols(definitions[stack.pop()]) & definitions.keys() - found - {symbol}:
            found.add(other)
            if other not in cold:
                stack.append(other)
    return found


def declaration(definition: str) -> str:
    """The line that declares a function in another module than its own."""
    head = definition.split("\n", 1)[0].removesuffix(" {")
    return re.sub(r"^define internal ", "declare ", head) + "\n"
