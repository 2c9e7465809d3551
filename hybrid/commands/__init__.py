"""The sub-commands of `hybrid`, a module for each group; `hybrid/cli.py` puts them together."""
