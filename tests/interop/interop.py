"""interop.py TOOL WRITE LIBRARY DIRECTORY COUNT SEED: see run."""
import sys

import numpy
import safetensors

import converting
import files
import hashing
import hub
import loras
import pieces
import repairing
import scaling
import sharding
import showing
import slicing
import verdicts
import writing
from tool import Tally, Tool


def main():
    tool, tally = Tool(sys.argv[1], sys.argv[4]), Tally()
    count, seed = int(sys.argv[5]), int(sys.argv[6])
    print("interop: safetensors %s, numpy %s, Python %s" % (safetensors.__version__, numpy.__version__, sys.version.split()[0]))
    files.check(tool, tally)
    print("interop: files of the package: %d checks" % (tally.passed + tally.failed))
    converting.check(tally, sys.argv[3], 4096, seed)
    slicing.check(tally, sys.argv[3], sys.argv[4], count * 5, seed)
    writing.check(tool, tally, sys.argv[2], count // 2, seed)
    sharding.check(tool, tally, sys.argv[2], count // 100, seed)
    pieces.check(tool, tally, count // 100, seed)
    loras.check(tool, tally, count // 100, seed)
    showing.check(tool, tally, count // 50, seed)
    hashing.check(tool, tally, count // 50, seed)
    scaling.check(tool, tally, seed)
    hub.check(tool, tally, sys.argv[2], seed)
    repairing.check(tool, tally, count // 200, seed)
    verdicts.check(tool, tally, count, seed)
    print("interop: %d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    sys.exit(tally.failed != 0)


main()
