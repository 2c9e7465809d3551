"""The exceptions users meet. Each says what was wrong, what was got, what is allowed and what to do next."""


class HybridError(Exception):
    """Base of every error this package raises on purpose."""


class ShapeError(HybridError, ValueError):
    """An array or argument has a shape the function does not take."""


class ArgumentError(HybridError, ValueError):
    """An argument is missing, unknown, duplicated or has a value outside what is allowed."""


class InputTypeError(HybridError, TypeError):
    """Data or an expression has a type that is not accepted (text, complex numbers, Python objects)."""


class UnsupportedError(HybridError, ValueError):
    """A SymPy node, NumPy function or operation has no meaning here; the message names it and what to use instead."""


class VerificationError(HybridError, ArithmeticError):
    """A kernel disagrees with the numeric tape and is not returned. `certificate` holds the evidence."""

    def __init__(self, message: str, certificate: object = None) -> None:
        super().__init__(message)
        self.certificate = certificate
