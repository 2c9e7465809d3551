"""Functions over large arrays that stay rolled: one template, an index space, and how each leaf is read.

The stages, in order:

    trace.py            the user's function, run once on rolled arrays
    array.py, functions.py, products.py, combinators.py
                        what these arrays do: elementwise templates, views, reductions, scatters, recurrences
    indexed.py          SymPy sums over indexed arrays, onto the same
    maps.py, model.py   index maps; buffers and blocks, the form of a function and all its derivatives
    evaluate.py         the NumPy meaning of blocks
    adjoint.py, tangent.py
                        reverse and forward mode, block by block
    sparse.py, inline.py
                        sparse Jacobians and Hessians, template by template, and their patterns
    coloured.py         sparse derivatives by products with several vectors, where that takes few
    plan.py             blocks fused, simplified and lowered to those of the code generator
    kernel.py, check.py native code for several functions, and its check against the numeric tape
    files.py            kernels as files
    formula.py, function.py
                        `RolledFunction`, the Function users hold
    flat.py             templates found in what was written out
    again.py            the same derivatives of another form of a function
    latex.py            sums with their indices, gradients in cases
"""
