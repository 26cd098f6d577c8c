"""Choose a benchmark by its name and pin the threads before numpy or torch can start any."""

import argparse
import inspect
import sys
from importlib import import_module

from benchmarks import timing

QUESTIONS = ("engine", "diagnosis", "speed", "growth", "charnn", "ways", "nested", "size")


def main() -> None:
    if sys.argv[1:2] == ["papers"]:
        timing.pin_threads()
        import_module("benchmarks.papers.run").main(sys.argv[2:])
        return
    if sys.argv[1:2] in (["soak"], ["mutants"]):
        timing.pin_threads()
        import_module({"soak": "benchmarks.soak.run", "mutants": "benchmarks.mutants"}[sys.argv[1]]).main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", choices=(*QUESTIONS, "papers", "soak", "mutants"))
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    parser.add_argument("--rounds", type=int, default=15, help="engine, speed, ways: interleaved rounds (15)")
    parser.add_argument("--only", default="", help="speed: races with this text in their title, printed only")
    options = parser.parse_args()
    timing.pin_threads()
    question = import_module(f"benchmarks.{options.which}")  # only now: numpy and torch start their threads
    wanted = inspect.signature(question.main).parameters
    given = {"write": not options.print_only, "rounds": options.rounds, "only": options.only}
    question.main(**{name: value for name, value in given.items() if name in wanted})


if __name__ == "__main__":
    main()
