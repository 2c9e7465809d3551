"""`python -m hybrid` is the `hybrid` command."""

from hybrid.cli import main

main(prog_name="hybrid")
