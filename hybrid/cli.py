"""The `hybrid` command; its sub-commands are in `commands/`.

Results go to standard output, errors to standard error. Exit codes: 0 done, 1 the input was understood but cannot be
done (an unknown name, a wrong shape, no linker) or does not agree (`check`), 2 the command line itself is wrong, 130
interrupted.
"""

from __future__ import annotations

import click

from hybrid import __version__
from hybrid.commands.about import completion, info, tour_command
from hybrid.commands.bundles import check, export
from hybrid.commands.formulas import derive, latex
from hybrid.commands.shared import Group
from hybrid.commands.sheets import report

EPILOG = """\b
Exit codes: 0 done; 1 cannot be done, or does not agree; 2 wrong command line; 130 interrupted.
Completion: eval "$(hybrid completion bash)"; see hybrid completion --help.
"""


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="hybrid", message="%(prog)s %(version)s")
def main() -> None:
    """Exact derivatives of a function, as formulas and as verified native kernels.

    A SOURCE is an expression, such as "exp(x*y) + sin(q[0])" or "r = hypot(x, y); r*exp(-r)", @FILE for one in a file,
    - for one on standard input; or a function in a file or module, such as model.py:energy or package.model:energy.
    Expressions are read by a small parser and never evaluated; a file or module is imported, so its top level runs.
    """


for command in (tour_command, derive, latex, report, export, check, info, completion):
    main.add_command(command)
