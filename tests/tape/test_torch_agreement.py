"""The tape beside PyTorch in double precision: values, derivatives, in-place semantics, errors."""

import numpy as np
import pytest

from hybrid import tape

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
RANDOM = np.random.default_rng(7)

SHAPES = {
    "scalar": lambda low, high: RANDOM.uniform(low, high, ()),
    "matrix": lambda low, high: RANDOM.uniform(low, high, (3, 4)),
    "empty": lambda low, high: RANDOM.uniform(low, high, (0, 4)),
    "strided": lambda low, high: RANDOM.uniform(low, high, (4, 6)).T[::2],
}

#          domain, and PyTorch's name where it differs
UNARY = {
    "neg": (-3, 3), "abs": (-3, 3), "sign": (-3, 3), "sqrt": (0.1, 5), "rsqrt": (0.1, 5), "square": (-3, 3),
    "reciprocal": (0.2, 3), "exp": (-3, 3), "exp2": (-3, 3), "expm1": (-3, 3), "log": (0.1, 5), "log2": (0.1, 5),
    "log10": (0.1, 5), "log1p": (-0.8, 5), "sin": (-3, 3), "cos": (-3, 3), "tan": (-1.2, 1.2), "asin": (-0.8, 0.8),
    "acos": (-0.8, 0.8), "atan": (-3, 3), "sinh": (-3, 3), "cosh": (-3, 3), "tanh": (-1, 1), "asinh": (-3, 3),
    "acosh": (1.3, 5), "atanh": (-0.8, 0.8), "erf": (-2, 2), "erfc": (-2, 2), "floor": (-3, 3), "ceil": (-3, 3),
    "trunc": (-3, 3), "rint": (-3, 3, "round"), "sigmoid": (-3, 3), "softplus": (-3, 3), "relu": (-3, 3),
    "loggamma": (2.5, 6, "lgamma"), "digamma": (2, 6), "deg2rad": (-3, 3), "rad2deg": (-3, 3), "silu": (-3, 3),
}  # fmt: skip
BINARY = {
    "add": (-3, 3), "sub": (-3, 3), "mul": (-3, 3), "div": (0.2, 3), "maximum": (-3, 3), "minimum": (-3, 3),
    "pow": (0.3, 3), "atan2": (0.2, 3), "hypot": (0.2, 3), "mod": (0.2, 3, "remainder"), "fmod": (0.2, 3),
    "copysign": (0.2, 3),
}  # fmt: skip
# PyTorch's own polygamma(1) is good to nine digits only; the first derivatives are checked against multiple precision.
INACCURATE_IN_TORCH = {"digamma": 1, "loggamma": 2}


def theirs(name, table):
    name = table[name][2] if len(table[name]) > 2 else name
    return getattr(torch, name, None) or getattr(torch.nn.functional, name)


def ulps(value, reference):
    value, reference = np.asarray(value), np.asarray(reference)
    scale = np.spacing(np.maximum(np.abs(reference), 1e-300))
    return np.max(np.abs(value - reference) / scale, initial=0.0)


def both(arrays):
    ours = [tape.tensor(a, requires_grad=True) for a in arrays]
    for t, a in zip(ours, arrays, strict=True):
        t.data = a  # keeps strides
    return ours, [torch.from_numpy(np.array(a) if a.ndim == 0 else a).clone().requires_grad_() for a in arrays]


def derivatives(module, function, inputs, order, seeds):
    """Value, gradients, and gradients of the gradients' squares, as arrays."""
    grad = module.grad if module is tape else torch.autograd.grad
    levels = []
    results = [function(*inputs)]
    for _ in range(order):
        levels.append(results)
        used = [r for r in results if r.requires_grad]
        if not used:
            break
        total = (
            sum((r * s).sum() for r, s in zip(used, seeds, strict=False))
            if len(levels) == 1
            else sum((r * r).sum() for r in used)
        )
        results = list(grad(total, inputs, create_graph=True, allow_unused=True, materialize_grads=True))
    else:
        levels.append(results)
    if module is tape:
        return [[r.detach().numpy() for r in level] for level in levels]
    return [[r.detach().numpy(force=True) for r in level] for level in levels]


def compare(ours, theirs_, arrays, order=2):
    a, b = both(arrays)
    seed = RANDOM.uniform(0.5, 1.5, np.shape(theirs_(*b).detach().numpy()))
    mine = derivatives(tape, ours, a, order, [tape.tensor(seed)])
    other = derivatives(torch, theirs_, b, order, [torch.tensor(seed)])
    return zip(mine, other, strict=False)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, shape):
    low, high = UNARY[name][:2]
    order = INACCURATE_IN_TORCH.get(name, 3) - 1
    for level, (mine, other) in enumerate(
        compare(getattr(tape, name), theirs(name, UNARY), [SHAPES[shape](low, high)], order)
    ):
        for a, b in zip(mine, other, strict=True):
            assert a.shape == b.shape
            # four ulp elementwise; a second derivative may cancel, so it is measured against the largest
            assert (
                ulps(a, b) <= 4
                if level < 1
                else np.allclose(a, b, rtol=4e-15, atol=4e-15 * np.max(np.abs(b), initial=0))
            ), (name, a, b)


BROADCASTS = {
    "scalars": ((), ()),
    "same": ((3, 4), (3, 4)),
    "row": ((3, 4), (4,)),
    "both ways": ((3, 1), (1, 4)),
    "scalar": ((2, 3), ()),
    "new axes": ((4,), (2, 3, 4)),
    "empty": ((0, 4), (4,)),
    "empty both": ((3, 0), (1, 1)),
}


@pytest.mark.parametrize("shapes", BROADCASTS)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, shapes):
    low, high = BINARY[name][:2]
    arrays = [RANDOM.uniform(low, high, s) for s in BROADCASTS[shapes]]
    for level, (mine, other) in enumerate(compare(getattr(tape, name), theirs(name, BINARY), arrays)):
        for a, b in zip(mine, other, strict=True):
            assert a.shape == b.shape
            assert ulps(a, b) <= 4 if level < 1 else np.allclose(a, b, rtol=1e-13, atol=1e-13), (name, a, b)


KINKS = {
    "abs": [0.0, -0.0], "sign": [0.0, 1.0], "relu": [0.0, -0.0, 1.0], "floor": [1.0, 0.5], "ceil": [1.0],
    "trunc": [-1.0],
    "sqrt": [0.0], "rint": [0.5], "log": [0.0, -1.0], "asin": [1.0, 2.0], "erf": [np.inf, -np.inf],
    "exp": [-np.inf, 800.0], "tanh": [np.inf, np.nan], "atan": [np.inf], "sigmoid": [-800.0, 800.0],
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_unary_kinks(name):
    for (mine,), (other,) in compare(getattr(tape, name), theirs(name, UNARY), [np.array(KINKS[name])], 1):
        np.testing.assert_array_equal(mine, other)


BINARY_KINKS = {
    "maximum": ([1.0, 2.0, np.nan], [1.0, 3.0, 0.0]), "minimum": ([1.0, 2.0, 0.0], [1.0, 3.0, np.nan]),
    "mod": ([5.5, -5.5, 4.0], [2.0, 2.0, -2.0]), "fmod": ([5.5, -5.5, 4.0], [2.0, 2.0, -2.0]),
    "pow": ([0.0, 0.0, 0.0, -2.0], [0.0, 1.0, 2.0, 3.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY_KINKS)
def test_binary_kinks(name):
    arrays = [np.array(a) for a in BINARY_KINKS[name]]
    for mine, other in compare(getattr(tape, name), theirs(name, BINARY), arrays, 1):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def spd(x):
    return x @ x.mT + 2 * (
        torch.eye(x.shape[-1], dtype=torch.float64) if isinstance(x, torch.Tensor) else np.eye(x.shape[-1])
    )


def of(module_or_tensor):
    return torch if isinstance(module_or_tensor, torch.Tensor) else tape


def lib(function):
    """A case written once: `function(m, *tensors)` with m the module of the tensors."""
    return lambda *xs: function(of(xs[0]), *xs)


def linalg(x):
    return torch.linalg if isinstance(x, torch.Tensor) else tape


INDEX = np.array([[0, 2], [1, 0]])


def integers(x, a):
    return torch.from_numpy(a) if isinstance(x, torch.Tensor) else a


OPERATIONS = {
    "sum": (lambda x: x.sum(), (3, 4)), "sum dim": (lambda x: x.sum(dim=1, keepdim=True), (3, 4)),
    "sum of nothing": (lambda x: x.sum(), (0, 2)), "sum dims": (lambda x: x.sum(dim=(0, 2)), (2, 3, 4)),
    "mean": (lambda x: x.mean(dim=0), (3, 4)), "var": (lambda x: x.var(), (3, 4)),
    "std": (lambda x: x.std(dim=1), (3, 4)),
    "var uncorrected": (lambda x: x.var(dim=0, correction=0), (3, 4)), "prod": (lambda x: x.prod(dim=1), (3, 5)),
    "prod all": (lambda x: x.prod(), (7,)), "max": (lambda x: x.max(), (3, 4)),
    "max dim": (lambda x: x.max(dim=1)[0], (3, 4)),
    "min dim": (lambda x: x.min(dim=0, keepdim=True)[0], (3, 4)), "amax": (lambda x: x.amax(dim=1), (3, 4)),
    "amin": (lambda x: x.amin(dim=(0, 1)), (3, 4)), "norm": (lambda x: x.norm(), (3, 4)),
    "norm 1": (lambda x: x.norm(1), (3, 4)), "norm 3": (lambda x: x.norm(3, 1), (3, 4)),
    "norm inf": (lambda x: x.norm(np.inf), (3, 4)),
    "logsumexp": (lambda x: x.logsumexp(dim=1), (3, 4)), "cumsum": (lambda x: x.cumsum(dim=1), (3, 4)),
    "cumprod": (lambda x: x.cumprod(dim=0), (5, 2)), "softmax": (lambda x: x.softmax(dim=1), (3, 4)),
    "log_softmax": (lambda x: x.log_softmax(dim=0), (3, 4)), "trace": (lambda x: x.trace(), (3, 3)),
    "matmul": (lambda x, y: x @ y, (3, 4), (4, 2)), "matmul vectors": (lambda x, y: x @ y, (4,), (4,)),
    "matmul matrix vector": (lambda x, y: x @ y, (3, 4), (4,)),
    "matmul vector matrix": (lambda x, y: x @ y, (3,), (3, 4)),
    "matmul stacks": (lambda x, y: x @ y, (2, 1, 3, 4), (5, 4, 2)),
    "matmul stack vector": (lambda x, y: x @ y, (2, 3, 4), (4,)),
    "matmul empty": (lambda x, y: x @ y, (0, 4), (4, 2)), "matmul no inner": (lambda x, y: x @ y, (3, 0), (0, 2)),
    "outer": (lambda x, y: x.outer(y), (3,), (2,)), "dot": (lambda x, y: x.dot(y), (3,), (3,)),
    "tensordot": (lib(lambda m, x, y: m.tensordot(x, y, 2)), (2, 3, 4), (3, 4, 5)),
    "einsum": (lib(lambda m, x, y: m.einsum("bij,bjk->ik", x, y)), (2, 3, 4), (2, 4, 2)),
    "einsum three": (lib(lambda m, x, y, z: m.einsum("i,ij,j", x, y, z)), (3,), (3, 4), (4,)),
    "einsum diagonal": (lib(lambda m, x: m.einsum("ii->i", x)), (3, 3)),
    "einsum ellipsis": (lib(lambda m, x, y: m.einsum("...ij,jk->...ik", x, y)), (2, 3, 4), (4, 2)),
    "solve": (lambda a, b: linalg(a).solve(spd(a), b), (3, 3), (3, 2)),
    "solve vector": (lambda a, b: linalg(a).solve(spd(a), b), (3, 3), (3,)),
    "inv": (lambda a: linalg(a).inv(spd(a)), (3, 3)), "inv stack": (lambda a: linalg(a).inv(spd(a)), (2, 3, 3)),
    "det": (lambda a: linalg(a).det(a), (3, 3)), "slogdet": (lambda a: linalg(a).slogdet(a)[1], (3, 3)),
    "cholesky": (lambda a: linalg(a).cholesky(spd(a)), (3, 3)),
    "eigvalsh": (lambda a: linalg(a).eigh(spd(a))[0], (3, 3)),
    "eigenvectors": (lambda a: linalg(a).eigh(spd(a))[1] ** 2, (3, 3)),
    "svdvals": (lambda a: linalg(a).svd(a, full_matrices=False)[1], (4, 3)),
    "singular vectors": (lambda a: linalg(a).svd(a, full_matrices=False)[0] ** 2, (4, 3)),
    "qr": (lambda a: linalg(a).qr(a)[1] ** 2, (4, 3)), "lstsq": (lambda a, b: linalg(a).lstsq(a, b)[0], (4, 2), (4, 1)),
    "reshape": (lambda x: x.reshape(2, 6), (3, 4)), "flatten": (lambda x: x.flatten(1), (2, 3, 4)),
    "transpose": (lambda x: x.transpose(0, 2), (2, 3, 4)),
    "permute": (lambda x: x.permute(2, 0, 1), (2, 3, 4)), "squeeze": (lambda x: x.squeeze(), (1, 3, 1)),
    "unsqueeze": (lambda x: x.unsqueeze(1), (3, 4)),
    "stack": (lib(lambda m, x, y: m.stack([x, y], 1)), (3, 4), (3, 4)), "flip": (lambda x: x.flip((0, 1)), (3, 4)),
    "concatenate": (lib(lambda m, x, y: m.concatenate([x, y], 1)), (3, 4), (3, 1)),
    "split": (lambda x: x.split(2, 1)[1], (3, 5)),
    "split sizes": (lambda x: x.split([1, 4], 1)[1], (3, 5)), "chunk": (lambda x: x.chunk(2, 1)[1], (3, 5)),
    "unbind": (lambda x: x.unbind(1)[2], (3, 4)),
    "roll": (lambda x: x.roll(1, 0), (3, 4)), "tile": (lambda x: x.tile((2, 3)), (3, 4)),
    "repeat": (lambda x: x.repeat(2, 1, 3), (3, 4)),
    "expand": (lambda x: x.expand(5, -1, 4), (3, 1)), "diagonal": (lambda x: x.diagonal(1), (3, 4)),
    "diag": (lambda x: x.diag(), (3,)),
    "tril": (lambda x: x.tril(), (3, 4)), "triu": (lambda x: x.triu(1), (3, 4)), "clone": (lambda x: x.clone(), (3, 4)),
    "T": (lambda x: x.T, (3, 4)),
    "slice": (lambda x: x[1:, ::2], (3, 4)), "integer": (lambda x: x[1], (3, 4)),
    "element": (lambda x: x[1, -1], (3, 4)),
    "new axis": (lambda x: x[:, None, ..., 0], (3, 4)),
    "boolean": (lambda x: x[integers(x, np.array([True, False, True]))], (3, 4)),
    "integers": (lambda x: x[integers(x, np.array([0, 2, 0]))], (3, 4)),
    "integer pairs": (lambda x: x[integers(x, np.array([0, 2, 0])), integers(x, np.array([1, 1, 1]))], (3, 4)),
    "gather": (lambda x: x.gather(1, integers(x, INDEX)), (2, 3)),
    "scatter_add": (lambda x, y: x.scatter_add(1, integers(x, INDEX), y), (2, 3), (2, 2)),
    "where": (lib(lambda m, x, y: m.where(x > y, x, y * y)), (3, 4), (4,)),
    "masked_fill": (lambda x: x.masked_fill(x > 1, 0.5), (3, 4)),
    "clamp": (lambda x: x.clamp(0.9, 1.3), (3, 4)),
    "clamp low": (lambda x: x.clamp(min=0.9) if isinstance(x, torch.Tensor) else x.clamp(0.9), (3, 4)),
    "power": (lambda x: x**3, (3, 4)), "power of number": (lambda x: 2.0**x, (3, 4)),
    "fractional power": (lambda x: x**0.5, (3, 4)),
    "narrow": (lambda x: x.narrow(1, 1, 2), (3, 4)), "select": (lambda x: x.select(1, 2), (3, 4)),
    "index_select": (lambda x: x.index_select(1, integers(x, np.array([2, 0, 2]))), (3, 4)),
    "masked_select": (lambda x: x.masked_select(x > 1.1), (3, 4)), "contiguous": (lambda x: x.T.contiguous(), (3, 4)),
    "sizes": (lambda x: x.reshape(x.size(1), -1) * x.numel() * x.dim() * x.size()[0], (3, 4)),
    "cat": (lib(lambda m, x, y: m.cat([x, y])), (3, 4), (1, 4)),
    "clamp function": (lib(lambda m, x: m.clamp(x, 0.9, 1.3)), (3, 4)),
    "arithmetic": (lambda x, y: 2 - x / y + 3 / x * -y, (3, 4), (4,)), "remainder": (lambda x: x % 0.7, (3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name):
    function, *shapes = OPERATIONS[name]
    arrays = [RANDOM.uniform(0.5, 1.8, s) for s in shapes]
    for mine, other in compare(function, function, arrays):
        for a, b in zip(mine, other, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13 * (1 + np.max(np.abs(b), initial=0)), err_msg=name)


@pytest.mark.parametrize(
    "name", [n for n in OPERATIONS if not n.startswith(("solve", "inv", "eigen", "cholesky", "lstsq", "qr", "sing"))]
)
def test_operation_on_strided_input(name):
    function, *shapes = OPERATIONS[name]
    arrays = [
        RANDOM.uniform(0.5, 1.8, [2 * n for n in s[::-1]]).T[tuple([slice(None, None, 2)] * len(s))] for s in shapes
    ]
    for mine, other in compare(function, function, arrays, 1):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13 * (1 + np.max(np.abs(b), initial=0)), err_msg=name)


EMPTY = {
    "sum": lambda x: x.sum(dim=0), "mean": lambda x: x.mean(dim=1), "prod": lambda x: x.prod(dim=0),

    "norm": lambda x: x.norm(), "cumsum": lambda x: x.cumsum(dim=0), "softmax": lambda x: x.softmax(dim=1),
    "logsumexp": lambda x: x.logsumexp(dim=0), "matmul": lambda x: x @ x.T, "matmul inner": lambda x: x.T @ x,
    "reshape": lambda x: x.reshape(3, 0),
    "flip": lambda x: x.flip((0,)), "roll": lambda x: x.roll(1, 0), "transpose": lambda x: x.T,
    "slice": lambda x: x[:, 1:],
    "boolean": lambda x: x[x > 0], "where": lib(lambda m, x: m.where(x > 0, x, x * 2)),
    "stack": lib(lambda m, x: m.stack([x, x])),
    "cat": lib(lambda m, x: m.cat([x, x], 1)), "split": lambda x: x.split(2, 1)[0],
    "expand": lambda x: x.expand(2, 0, 3),
    "tril": lambda x: x.tril(), "diagonal": lambda x: x.diagonal(), "clamp": lambda x: x.clamp(0, 1),
    "power": lambda x: x**2,
    "max dim": lambda x: x.max(dim=1)[0], "einsum": lib(lambda m, x: m.einsum("ij,ik->jk", x, x)),
    "unbind": lambda x: x.unbind(1)[0],
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_empty_tensors(name):
    for mine, other in compare(EMPTY[name], EMPTY[name], [np.zeros((0, 3))]):
        for a, b in zip(mine, other, strict=True):
            assert a.shape == b.shape
            np.testing.assert_array_equal(a, b)


WITHOUT_AXES = {
    "sum": lambda x: x.sum(dim=0), "mean": lambda x: x.mean(dim=-1), "prod": lambda x: x.prod(dim=0),
    "amax": lambda x: x.amax(dim=0),
    "max": lambda x: x.max(), "max dim": lambda x: x.max(dim=0)[0], "min": lambda x: x.min(),
    "cumsum": lambda x: x.cumsum(dim=0), "norm": lambda x: x.norm(),
    "cumprod": lambda x: x.cumprod(dim=0), "softmax": lambda x: x.softmax(dim=0),
    "log_softmax": lambda x: x.log_softmax(dim=0),
    "logsumexp": lambda x: x.logsumexp(dim=0), "squeeze": lambda x: x.squeeze(), "squeeze dim": lambda x: x.squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(0), "reshape": lambda x: x.reshape(1, 1), "flatten": lambda x: x.flatten(),
    "expand": lambda x: x.expand(2, 3), "tile": lambda x: x.tile((2,)), "ellipsis": lambda x: x[...],
    "new axis": lambda x: x[None],
    "clone": lambda x: x.clone(), "where": lib(lambda m, x: m.where(x > 0, x, -x)),
    "clamp": lambda x: x.clamp(0.9, 1.1),
    "stack": lib(lambda m, x: m.stack([x, x * 2])), "transpose": lambda x: x.transpose(0, -1),
    "flip": lambda x: x.flip(()),
    "argmax": lambda x: x * x.argmax(), "boolean": lambda x: x[x > 0],
    "einsum": lib(lambda m, x: m.einsum(",->", x, x)),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_AXES)
def test_tensors_without_axes(name):
    for mine, other in compare(WITHOUT_AXES[name], WITHOUT_AXES[name], [np.array(1.3)]):
        for a, b in zip(mine, other, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-14)


def zeros_like(x, shape):
    return torch.zeros(shape, dtype=torch.float64) if isinstance(x, torch.Tensor) else tape.zeros(shape)


def written_through_views(x):
    y = x * 1.0
    first, last = y[0], y.T[-1]
    first *= 3
    last += first.sum()
    y[1:] = y[:1] * 2
    return y * first.sum() + last.mean()


def filled(x):
    y = zeros_like(x, (3, 4))
    y[0] = x[0]
    y[1:, 2] = x[1:, 0] * 2
    y[:, 1].add_(x[:, 1])
    return y


def chained(x):
    y = x.exp()
    z = y.sin()
    z.mul_(2).add_(x).sqrt_()
    return z


def boolean_assignment(x):
    y = x * 2
    y[y > 2.5] = 0.0
    return y * y


def row_swap(x):
    y = x.clone()
    y[0], y[1] = y[1].clone(), y[0].clone()
    return y**2


def zeroed(x):
    y = x * x
    y.zero_()
    return y + x


def copied(x):
    y = zeros_like(x, (3, 4))
    y.copy_(x * 2)
    y[0].fill_(7.0)
    return y * x


def self_product(x):
    y = x * 1.0
    y *= y.sum()
    return y


def reshaped_view(x):
    y = x * 1.0
    flat = y.view(12)
    flat[3:5] *= x[0, 0]
    diagonal = y.diagonal()
    diagonal += 1
    return y * flat.sum()


def masked(x):
    y = x * 1.0
    y.masked_fill_(y > 1.2, 0.0)
    y.clamp_(0.6, 1.1)
    return y


IN_PLACE = [
    written_through_views, filled, chained, boolean_assignment, row_swap, zeroed, copied, self_product,
    reshaped_view, masked,
]  # fmt: skip


@pytest.mark.parametrize("function", IN_PLACE, ids=lambda f: f.__name__)
def test_in_place(function):
    for mine, other in compare(function, function, [RANDOM.uniform(0.5, 1.8, (3, 4))]):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13, err_msg=function.__name__)


def changed_saved_input(m, x):
    y = x * 1.0
    z = y * y
    y += 1
    z.sum().backward()


def changed_saved_result(m, x):
    y = x.exp()
    y *= 2
    y.sum().backward()


def changed_through_view(m, x):
    y = x * 1.0
    z = y.sin()
    y[0] = 5.0
    z.sum().backward()


def changed_through_detached(m, x):
    y = x * 1.0
    z = y.sin()
    y.detach().zero_()
    z.sum().backward()


def leaf_in_place(m, x):
    x += 1


def view_of_leaf(m, x):
    x[0] = 1.0


def second_pass(m, x):
    y = (x * x).sum()
    y.backward()
    y.backward()


def second_pass_without_saved(m, x):
    y = (x + x + 1).sum()
    y.backward()
    y.backward()


def no_gradient_for_matrix(m, x):
    (x * 2).backward()


def no_graph(m, x):
    x.detach().sum().backward()


def wrong_gradient_shape(m, x):
    (x * 2).backward(zeros_like(x, (2,)))


def unused(m, x):
    other = x.detach().clone().requires_grad_()
    (m.grad if m is tape else torch.autograd.grad)((x * 2).sum(), [other])


def integer_gradient(m, x):
    m.tensor([1, 2]).requires_grad_()


def numpy_of_recorded(m, x):
    x.numpy()


def flag_on_result(m, x):
    (x * 2).requires_grad_(False)


def hook_without_grad(m, x):
    x.detach().register_hook(print)


def detach_view(m, x):
    x[0].detach_()


def length_of_scalar(m, x):
    len(x.sum())


def in_place_broadcast(m, x):
    y = x.sum() * 1.0
    y += x


def expanded_in_place(m, x):
    y = (x[0] * 1.0).expand(3, 4)
    y += 1


def shared_in_no_grad(m, x):
    y = x * 1.0
    z = y.sin()
    with m.no_grad():
        y += 1
    z.sum().backward()


def unchanged_needs_nothing(m, x):
    y = x * 1.0
    z = y + 2
    y += 1
    (z * y).sum().backward()


MISUSE = [
    changed_saved_input, changed_saved_result, changed_through_view, changed_through_detached, leaf_in_place,
    view_of_leaf, second_pass, second_pass_without_saved, no_gradient_for_matrix, no_graph, wrong_gradient_shape,
    unused, integer_gradient, numpy_of_recorded, flag_on_result, hook_without_grad, detach_view, length_of_scalar,
    in_place_broadcast, expanded_in_place, shared_in_no_grad, unchanged_needs_nothing,
]  # fmt: skip


def outcome(function, m, x):
    try:
        function(m, x)
    except Exception as error:
        return type(error), str(error)
    return None, ""


@pytest.mark.parametrize("function", MISUSE, ids=lambda f: f.__name__)
def test_errors_are_those_of_torch(function):
    data = RANDOM.uniform(0.5, 1.8, (3, 4))
    mine, text = outcome(function, tape, tape.tensor(data, requires_grad=True))
    other, their_text = outcome(function, torch, torch.tensor(data, requires_grad=True))
    assert mine == other, (text, their_text)
    if mine is not None:
        assert text[:18].lower() == their_text[:18].lower() or len(text) > 30, (text, their_text)


def tensors(m, d):
    return tuple(m.tensor(part) for part in d) if isinstance(d, tuple) else m.tensor(d)


def test_jacobian_and_hessian_of_functions_of_several_inputs():
    a, b = RANDOM.uniform(0.5, 1.5, (2, 3)), RANDOM.uniform(0.5, 1.5, 3)

    def pair(x, y):
        return (x * y).sum(), x.exp() * y

    def value(x, y):
        return ((x * y).sum() ** 2) + (y**3).sum()

    mine = tape.jacobian(pair, (tape.tensor(a), tape.tensor(b)))
    other = torch.autograd.functional.jacobian(pair, (torch.tensor(a), torch.tensor(b)))
    for row, their_row in zip(mine, other, strict=True):
        for x, y in zip(row, their_row, strict=True):
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-14)
    mine = tape.hessian(value, (tape.tensor(a), tape.tensor(b)))
    other = torch.autograd.functional.hessian(value, (torch.tensor(a), torch.tensor(b)))
    for row, their_row in zip(mine, other, strict=True):
        for x, y in zip(row, their_row, strict=True):
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-13, atol=1e-13)
    v, w = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=3)
    for name in ("jvp", "vjp", "vhp", "hvp"):
        function = value if name.endswith("hp") or name == "hvp" else (lambda x, y: x.exp() * y)
        direction = v if name == "vjp" else (v, w)
        mine = getattr(tape, name)(function, (tape.tensor(a), tape.tensor(b)), tensors(tape, direction))
        other = getattr(torch.autograd.functional, name)(
            function, (torch.tensor(a), torch.tensor(b)), tensors(torch, direction)
        )
        for x, y in zip(mine, other, strict=True):
            for part, their_part in zip(*[q if isinstance(q, tuple) else (q,) for q in (x, y)], strict=True):
                np.testing.assert_allclose(part.numpy(), their_part.numpy(), rtol=1e-13, atol=1e-13)


def test_float32_stays_float32():
    data = RANDOM.uniform(0.5, 1.5, (3, 4)).astype(np.float32)
    for function in (
        lambda x: (x.sin() * 2 + x**2).sum(),
        lambda x: x.softmax(1).log().mean(),
        lambda x: (x @ x.T).erf().sum(),
    ):
        x, y = tape.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        value, their_value = function(x), function(y)
        value.backward()
        their_value.backward()
        assert value.dtype == np.float32 == x.grad.dtype
        np.testing.assert_allclose(value.item(), their_value.item(), rtol=1e-5)
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=2e-5, atol=1e-6)


# Statements on a pool `p` of tensors that may share memory; `r(p)` takes one at random.
STATEMENTS = [
    lambda m, p, r: p.append(r(p).sin()),
    lambda m, p, r: p.append(r(p) * r(p).sum()),
    lambda m, p, r: p.append(r(p).exp() * 0.1),
    lambda m, p, r: p.append(r(p).tanh()),
    lambda m, p, r: p.append(r(p).square()),
    lambda m, p, r: p.append(r(p).cumsum(0)),
    lambda m, p, r: p.append(m.where(r(p).sum() > 0, r(p).sum(), r(p).mean()) + r(p)),
    lambda m, p, r: p.append(r(p).transpose(0, -1)),
    lambda m, p, r: p.append(r(p)[0]),
    lambda m, p, r: p.append(r(p)[..., 1:]),
    lambda m, p, r: p.append(r(p).reshape(-1)),
    lambda m, p, r: p.append(r(p).unsqueeze(0)),
    lambda m, p, r: p.append(r(p).detach()),
    lambda m, p, r: p.append(r(p).clone()),
    lambda m, p, r: r(p).mul_(0.5),
    lambda m, p, r: r(p).add_(r(p).sum() * 0.01),
    lambda m, p, r: r(p).tanh_(),
    lambda m, p, r: r(p).sigmoid_(),
    lambda m, p, r: r(p).zero_(),
    lambda m, p, r: r(p).clamp_(-1.0, 1.0),
    lambda m, p, r: r(p)[..., 0].mul_(2.0),
    lambda m, p, r: r(p)[..., :1].copy_(r(p).mean()),
    lambda m, p, r: r(p).__setitem__((..., 0), r(p).sum() * 0.1),
]


def run_program(m, plan, data, seed):
    """The pool and two orders of derivatives after a program, or the error it ends with."""
    choice = np.random.default_rng(seed)
    x = m.tensor(data, requires_grad=True)
    pool = [x * 1.0]
    grad = tape.grad if m is tape else torch.autograd.grad
    try:
        for statement in plan:
            STATEMENTS[statement](m, pool, lambda p: p[choice.integers(len(p))])
        total = sum((t * t).sum() for t in pool if t.requires_grad)
        (first,) = grad(total, [x], create_graph=True)
        (second,) = grad((first * first).sum(), [x], allow_unused=True, materialize_grads=True)
    except (RuntimeError, IndexError) as error:
        return error
    return [np.array(t.detach().numpy()) for t in (*pool, first, second)]


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.long)])
def test_random_programs_with_views_and_changes_in_place(count):
    compared = 0
    for seed in range(count):
        random = np.random.default_rng(seed)
        plan, data = random.integers(0, len(STATEMENTS), 9).tolist(), random.normal(size=(3, 4))
        mine, other = (run_program(m, plan, data, seed) for m in (tape, torch))
        if isinstance(other, Exception):
            continue  # where PyTorch refuses a saved value that changed, the tape may still have its own copy
        assert not isinstance(mine, Exception), (seed, plan, mine)
        compared += 1
        for a, b in zip(mine, other, strict=True):
            scale = 1 + np.max(np.abs(b), initial=0)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * scale, err_msg=f"{seed} {plan}")
    assert compared > count / 5
