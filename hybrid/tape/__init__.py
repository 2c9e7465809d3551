"""The numeric tape: reverse-mode differentiation of NumPy programs with PyTorch's meaning.

    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x.log() ** 2).sum()
    y.backward()
    x.grad

One responsibility per module: `tensor` (the handle), `node` (the recorded graph), `rule` (how adjoints flow through
an operation), `elementwise`, `reductions`, `shape`, `indexing`, `products`, `linalg`, `activation` (the operations),
`inplace` (changes and views), `engine` (the sweep), `autograd` (`backward`, `grad`), `functional` (`jacobian`,
`hessian`, …), `check` (`gradcheck`), `function` (operations of one's own), `numpy_protocol` (NumPy's functions on
tensors), `methods` (operators and methods of `Tensor`). Nothing here uses the symbolic rules: each checks the other.
"""

from hybrid.tape import methods as _methods  # noqa: F401 - attaches the methods of Tensor
from hybrid.tape.activation import clip, log_sigmoid, logit, relu, sigmoid, silu, softplus
from hybrid.tape.autograd import backward, grad, zero_grad
from hybrid.tape.check import GradcheckError, gradcheck, gradgradcheck
from hybrid.tape.creation import arange, empty_like, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like
from hybrid.tape.elementwise import (
    ELEMENTWISE,
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cbrt,
    ceil,
    copysign,
    cos,
    cosh,
    deg2rad,
    digamma,
    div,
    eq,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmod,
    gamma,
    ge,
    gt,
    heaviside,
    hypot,
    isfinite,
    isinf,
    isnan,
    le,
    log,
    log1p,
    log2,
    log10,
    loggamma,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    ne,
    neg,
    polygamma,
    pow,
    rad2deg,
    reciprocal,
    rint,
    rsqrt,
    select,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trunc,
    where,
)
from hybrid.tape.function import Function, KernelOperation, from_kernel, once_differentiable
from hybrid.tape.functional import hessian, hvp, jacobian, jvp, vhp, vjp
from hybrid.tape.indexing import index_add, narrow, scatter_add, take, take_along_axis
from hybrid.tape.linalg import (
    cholesky,
    det,
    eigh,
    eigvalsh,
    inv,
    lstsq,
    matrix_power,
    pinv,
    qr,
    slogdet,
    solve,
    svd,
    svdvals,
)
from hybrid.tape.mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from hybrid.tape.products import dot, einsum, inner, matmul, outer, tensordot
from hybrid.tape.reductions import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumprod,
    cumsum,
    log_softmax,
    logsumexp,
    mean,
    norm,
    prod,
    softmax,
    std,
    sum,
    var,
)
from hybrid.tape.shape import (
    array_split,
    broadcast_to,
    chunk,
    clone,
    concatenate,
    diag,
    diagonal,
    flatten,
    flip,
    moveaxis,
    pad,
    permute,
    ravel,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    trace,
    transpose,
    tril,
    triu,
    unbind,
    unsqueeze,
)
from hybrid.tape.tensor import Tensor, as_tensor, from_numpy, tensor

cat, clamp, lgamma = concatenate, clip, loggamma  # PyTorch's names

__all__ = [
    "ELEMENTWISE", "Function", "GradcheckError", "KernelOperation", "Tensor", "abs", "acos", "acosh", "add", "all",
    "amax", "amin", "any", "arange", "argmax", "argmin", "array_split", "as_tensor", "asin", "asinh", "atan",
    "atan2", "atanh", "backward", "broadcast_to", "cat", "cbrt", "ceil", "cholesky", "chunk", "clamp", "clip",
    "clone", "concatenate", "copysign", "cos", "cosh", "cumprod", "cumsum", "deg2rad", "det", "diag", "diagonal",
    "digamma", "div", "dot", "eigh", "eigvalsh", "einsum", "empty_like", "enable_grad", "eq", "erf", "erfc", "exp",
    "exp2", "expm1", "eye", "flatten", "flip", "floor", "floor_divide", "fmod", "from_kernel", "from_numpy", "full",
    "full_like", "gamma", "ge", "grad", "gradcheck", "gradgradcheck", "gt", "heaviside", "hessian", "hvp", "hypot",
    "index_add", "inner", "inv", "is_grad_enabled", "isfinite", "isinf", "isnan", "jacobian", "jvp", "le", "lgamma",
    "linspace", "log", "log1p", "log2", "log10", "log_sigmoid", "log_softmax", "loggamma", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "logsumexp", "lstsq", "lt", "matmul", "matrix_power",
    "maximum", "mean", "minimum", "mod", "moveaxis", "mul", "narrow", "ne", "neg", "no_grad", "norm",
    "once_differentiable", "ones", "ones_like", "outer", "pad", "permute", "pinv", "polygamma", "pow", "prod", "qr",
    "rad2deg", "ravel", "reciprocal", "relu", "repeat", "reshape", "rint", "roll", "rsqrt", "scatter_add", "select",
    "set_grad_enabled", "sigmoid", "sign", "silu", "sin", "sinh", "slogdet", "softmax", "softplus", "solve",
    "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "svd", "svdvals", "swapaxes", "take",
    "take_along_axis", "tan", "tanh", "tensor", "tensordot", "tile", "trace", "transpose", "tril", "triu", "trunc",
    "unbind", "unsqueeze", "var", "vhp", "vjp", "where", "zero_grad", "zeros", "zeros_like",
]  # fmt: skip
