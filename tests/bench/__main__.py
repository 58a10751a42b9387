"""``make bench``: how fast the engine is, beside unicorn, and what going back in time costs and weighs."""

import argparse

from tests.bench import bench_engine, bench_memory, bench_session, bench_virtualization

parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
parser.add_argument("--runs", type=int, default=5, help="the median of how many (5)")
parser.add_argument("--scale", type=float, default=1.0, help="instructions as a share of the usual (1.0)")
arguments = parser.parse_args()
bench_engine.main(arguments.runs, arguments.scale)
bench_session.main(arguments.scale)
bench_virtualization.main(arguments.runs)
bench_memory.main(arguments.scale)
