"""Choose a benchmark by its name and pin the threads before numpy or torch can start any."""

import argparse

from benchmarks import timing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", choices=["engine", "diagnosis"])
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    parser.add_argument("--rounds", type=int, default=15, help="engine: interleaved rounds of each comparison (15)")
    options = parser.parse_args()
    timing.pin_threads()
    from benchmarks import diagnosis, engine  # only now: importing numpy and torch starts their threads

    if options.which == "engine":
        engine.main(rounds=options.rounds, write=not options.print_only)
    else:
        diagnosis.main(write=not options.print_only)


if __name__ == "__main__":
    main()
