"""`python -m benchmarks papers`, one experiment after the other; or some of them by name."""

import argparse
from importlib import import_module

from benchmarks.papers.outcome import write_table

EXPERIMENTS = ("classics", "adding", "temporal_order", "characters", "copying", "addition")


def main(arguments: list[str]) -> None:
    """Run what the arguments ask for, and make the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks papers", description=__doc__)
    parser.add_argument("experiments", nargs="*", help=f"which: {', '.join(EXPERIMENTS)} (all)")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of each (3)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--updates", type=int, help="fewer updates than the setting has, to try things out")
    parser.add_argument("--table", action="store_true", help="only make the table again from what is known")
    options = parser.parse_args(arguments)
    unknown = set(options.experiments) - set(EXPERIMENTS)
    if unknown:
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    for experiment in () if options.table else options.experiments or EXPERIMENTS:
        module = import_module(f"benchmarks.papers.{experiment}")
        for seed in range(options.first, options.first + options.seeds):
            module.run(seed, **({"count": options.updates} if options.updates else {}))
    write_table()
