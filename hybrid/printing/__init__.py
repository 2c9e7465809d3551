"""Functions as mathematics: LaTeX, MathML and plain text of expressions and of their derivative matrices."""
