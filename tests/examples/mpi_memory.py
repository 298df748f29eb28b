"""Runs a command and prints its peak memory in KiB to a file: mpi_memory.py FILE COMMAND..."""
import resource
import subprocess
import sys

status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "a") as file:
    file.write("%d\n" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
