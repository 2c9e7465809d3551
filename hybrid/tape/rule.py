"""Rules: how an operation sends its adjoint to its inputs, and how an executed operation is recorded.

A rule is one function per input, written in NumPy: `lambda g, x: g * np.cos(x)`. Its parameter names say what it
reads, and so what the forward pass must keep: the adjoint `g`, inputs by their names, the result as `out`, and any
further parameter of the operation (an axis, a shape) by its name. The same function runs on plain arrays, which is
the fast path, and on tensors when derivatives of derivatives are wanted: NumPy's protocols then put every step on the
tape.

Adjoints may carry leading axes the values do not have (one per seed of a batched pass), so rules count axes from the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hybrid.tape.mode import is_grad_enabled
from hybrid.tape.node import Node, output_node, sum_to
from hybrid.tape.tensor import Tensor, current_edge, version_of

Partial = Callable[..., Any]
NOTHING: list[None] = [None]  # what a node saves when its rule reads nothing: not freed, so it can be walked again


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's arguments (without `self`)."""
    code = function.__code__
    return code.co_varnames[1 if hasattr(function, "__self__") else 0 : code.co_argcount]


class Rule:
    """The reverse rule of one operation.

    title: its name in `grad_fn`, as in `MulBackward`.
    inputs: names of the inputs, in order; "*xs" for an operation on a sequence.
    partials: one function per input; None where no gradient flows. Or `joint`, one function that returns all adjoints.
    elementwise: every element of the result depends on the same element of each input only (after broadcasting).
    moves: the operation copies and adds elements with non-negative weights that do not depend on values.
    selects: the partials return `Masked` adjoints.
    """

    def __init__(
        self,
        title: str,
        inputs: str,
        *partials: Partial | None,
        joint: Partial | None = None,
        elementwise: bool = False,
        moves: bool = False,
        selects: bool = False,
    ) -> None:
        self.title = title
        self.variadic = inputs.startswith("*")
        self.inputs = tuple(inputs.lstrip("*").split())
        self.elementwise, self.moves, self.selects = elementwise, moves, selects
        self.joint = joint
        self.partials = partials
        if joint is None and len(partials) != len(self.inputs):
            raise ValueError(f"rule {title} has {len(partials)} partials for {len(self.inputs)} inputs")
        self._reads = [() if p is None else parameters(p)[1:] for p in ([joint] if joint else partials)]
        names = {name for reads in self._reads for name in reads}
        self.keeps_out = "out" in names
        self.args = names - set(self.inputs) - {"out"}
        self._needs: dict[tuple[bool, ...], tuple[bool, ...]] = {}

    def needs(self, wanted: tuple[bool, ...]) -> tuple[bool, ...]:
        """Which inputs, and last whether the result, must be kept when the adjoints of the `wanted` inputs are."""
        if wanted not in self._needs:
            if self.joint:
                read = set(self._reads[0])
                keep = [self.inputs[0] in read] * len(wanted) if self.variadic else [n in read for n in self.inputs]
            else:
                read = {name for reads, want in zip(self._reads, wanted, strict=True) if want for name in reads}
                keep = [n in read for n in self.inputs]
            self._needs[wanted] = (*keep, "out" in read)
        return self._needs[wanted]

    def pull(self, node: Node, g: Any, edges: Sequence[Any]) -> Sequence[Any]:
        """The adjoints of the inputs with an edge in `edges`, None for the others."""
        return self.raw(node, g, edges)

    def raw(self, node: Node, g: Any, edges: Sequence[Any]) -> Sequence[Any]:
        """`pull` before the broadcasting of an elementwise operation is undone."""
        values = lifted(node) if _on_tape(g) else plain(node)
        args = node.args if type(node.args) is dict else {}
        if self.joint:
            named = {self.inputs[0]: values[:-1]} if self.variadic else dict(zip(self.inputs, values, strict=False))
            named["out"] = values[-1]
            return self.joint(g, *[named[n] if n in named else args[n] for n in self._reads[0]])  # type: ignore[no-any-return]
        named = dict(zip(self.inputs, values, strict=False))
        named["out"] = values[-1]
        return [
            None
            if edge is None or partial is None
            else partial(g, *[named[n] if n in named else args[n] for n in reads])
            for edge, partial, reads in zip(edges, self.partials, self._reads, strict=True)
        ]


def _on_tape(g: Any) -> bool:
    return type(g) is Tensor or (type(g) is list and any(type(part) is Tensor for part in g))


def plain(node: Node) -> list[Any]:
    """What the rule reads as arrays, after checking that nothing has changed since it was saved."""
    check_saved(node)
    return [s._data if type(s) is Tensor else s for s in node.saved]


def lifted(node: Node) -> list[Any]:
    """What the rule reads as tensors that continue the recorded graph."""
    check_saved(node)
    values = [
        Tensor(s._data, edge) if type(s) is Tensor and s._edge is not edge else s
        for s, edge in zip(node.saved, node.edges, strict=False)
    ]
    out = node.saved[-1]
    if type(out) is tuple:
        values.append([Tensor(part, output_node(node, k)) for k, part in enumerate(out)])
    else:
        values.append(None if out is None else Tensor(out, node))
    return values


def check_saved(node: Node) -> None:
    """RuntimeError when what the rule reads was freed by an earlier pass, or changed in place since it was saved."""
    if node.saved is None:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have "
            "already "
            f"been freed). The saved values of {node.name()} are freed when you call .backward() or grad(). Specify "
            "retain_graph=True if you need to backward through the graph a second time."
        )
    if node.rare is not None and node.rare.overwritten and node.saved[-1] is not None:
        raise _modified(node, "its own result", None)
    versions = node.rare.versions if node.rare is not None else None
    for number, s in enumerate(node.saved):
        if type(s) is Tensor and s._extra is not None:
            expected = versions[number] if versions else 0
            if version_of(s) != expected:
                raise _modified(node, f"input {number} of shape {s.shape}", (version_of(s), expected))


def _modified(node: Node, what: str, versions: tuple[int, int] | None) -> RuntimeError:
    counted = f"; it is at version {versions[0]}; expected version {versions[1]} instead" if versions else ""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{what} of {node.name()}{counted}. "
        "Hint: replace the in-place change by one that makes a new tensor, or clone() first."
    )


class Broadcasting(Rule):
    """An elementwise rule whose inputs may broadcast; `note_broadcasting` leaves on the node what must be undone."""

    def pull(self, node: Node, g: Any, edges: Sequence[Any]) -> Sequence[Any]:
        grads = self.raw(node, g, edges)
        if node.args is None:
            return grads
        rank, shapes = node.args
        lead = g.ndim - rank
        return [
            a if a is None or shape is None else sum_to(a, shape, lead) for a, shape in zip(grads, shapes, strict=True)
        ]


def note_broadcasting(node: Node, shape: tuple[int, ...], data: Sequence[Any]) -> None:
    """Note on a node with a result of `shape` which of its inputs' adjoints must be summed to smaller shapes."""
    shapes = [
        None if edge is None or part.shape == shape else part.shape for edge, part in zip(node.edges, data, strict=True)
    ]
    if any(part is not None for part in shapes):
        node.args = (len(shape), shapes)


def record(rule: Rule, inputs: Sequence[Tensor], data: Any, **args: Any) -> Tensor:
    """A tensor of `data`, with a node that pulls through `rule` when recording is on and an input requires grad."""
    node = make_node(rule, inputs, data, args)
    return Tensor(data, node)


def make_node(rule: Rule, inputs: Sequence[Tensor], data: Any, args: dict[str, Any] | None) -> Node | None:
    """A node for an executed operation, or None when nothing is recorded."""
    edges = tuple([current_edge(t) for t in inputs])
    if not any(edge is not None for edge in edges) or not is_grad_enabled():
        return None
    *keep, keep_out = rule.needs(tuple([edge is not None for edge in edges]))
    saved = (*[t if k else None for t, k in zip(inputs, keep, strict=True)], data if keep_out else None)
    node = Node(rule, edges, saved if any(s is not None for s in saved) else NOTHING, args)
    note_versions(node, inputs)
    return node


def note_versions(node: Node, inputs: Sequence[Any]) -> None:
    """Remember at which in-place version the inputs were saved, unless all are at version zero."""
    versions = tuple([version_of(t) if type(t) is Tensor else 0 for t in inputs])
    if any(versions):
        node.rarely().versions = versions


def record_many(rule: Rule, inputs: Sequence[Tensor], data: Sequence[Any], **args: Any) -> list[Tensor]:
    """Like `record` for an operation with several results; its rule gets a list of adjoints, None where none came."""
    node = make_node(rule, inputs, tuple(data), args)
    if node is None:
        return [Tensor(part) for part in data]
    node.args = dict(args, count=len(data))
    return [Tensor(part, output_node(node, k) if part.dtype.kind == "f" else None) for k, part in enumerate(data)]
