"""Reckons how mpi behaves with many ranks on a parallel file system. The assumptions are the constants below; change them
for your machine:  python3 examples/mpi/scale.py [RANKS]
"""
import sys

RANKS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
LATENCY = 2e-6          # of a message, seconds
LINK = 25e9             # of a node's network, bytes a second
RANK_DISK = 2e9         # of one rank to the file system, bytes a second
FILE_SYSTEM = 500e9     # of all ranks together
OPENS = 50e3            # that the metadata server answers in a second
SMALL_READ = 200e-6     # a read of some bytes that are in no cache, seconds
SHARD = 5e9             # --max-shard
ROUNDS = 10             # of a collective call: log2 of the ranks

# a model of one terabyte, BF16: 128 layers of four square matrices and three of four times the width
WIDTH, LAYERS = 16384, 128
tensors = []            # bytes, rows, divided by rows or columns
for layer in range(LAYERS):
    tensors += [(2 * WIDTH * WIDTH, WIDTH, "rows")] * 3 + [(2 * WIDTH * WIDTH, WIDTH, "columns")]
    tensors += [(8 * WIDTH * WIDTH, 4 * WIDTH, "rows")] * 2 + [(8 * WIDTH * WIDTH, WIDTH, "columns")]
    tensors += [(2 * WIDTH * WIDTH, WIDTH, "rows")]
total = sum(size for size, rows, how in tensors)

shards, room = [], 0
for tensor in tensors:
    if not shards or room < tensor[0]:
        shards.append([])
        room = SHARD
    shards[-1].append(tensor)
    room -= tensor[0]

print("%d ranks, %.2f TB in %d tensors and %d shards" % (RANKS, total / 1e12, len(tensors), len(shards)))


def opening(what, files):
    opens = RANKS * files
    print("  %-34s %9d opens, %6.1f s at %.0f a second" % (what, opens, opens / OPENS, OPENS))


print("opening")
opening("shards, every rank all headers", len(shards))
opening("pieces, every rank all headers", RANKS)
opening("one rank reads, the others are told", len(shards) / RANKS)

print("loading: %.1f GB a rank, %.1f s at the limit of the file system"
      % (total / RANKS / 1e9, total / min(FILE_SYSTEM, RANKS * RANK_DISK)))
for rule in "rows", "columns":
    reads = sum(1 if rule == "rows" else rows for size, rows, how in tensors)
    run = total / RANKS / reads
    print("  all by %-7s %10d reads a rank of %9.0f bytes, %8.1f s of small reads" % (rule, reads, run, reads * SMALL_READ))


def owners(tensor, begin, end):
    """Yields (rank, bytes) of a block."""
    size, rows, how = tensor
    if how == "columns":  # a block has whole rows or a part of one: as good as evenly divided
        return [(rank, (end - begin) / RANKS) for rank in range(RANKS)]
    share = size / RANKS
    first, last = int(begin / share), min(int((end - 1) / share), RANKS - 1)
    return [(rank, min(end, (rank + 1) * share) - max(begin, rank * share)) for rank in range(first, last + 1)]


def saving(block, steps):
    """Simulates the first steps: all writers ask for their next block, and the busiest rank decides how long a step takes."""
    writers = [[0, 0.0] for _ in shards[:RANKS]]  # tensor, offset
    seconds = moved = 0
    for _ in range(steps):
        sends = [0.0] * RANKS
        for writer, shard in zip(writers, shards):
            if writer[0] == len(shard):
                continue
            tensor = shard[writer[0]]
            end = min(writer[1] + block, tensor[0])
            for rank, size in owners(tensor, writer[1], end):
                sends[rank] += size
            moved += end - writer[1]
            writer[:] = (writer[0], end) if end < tensor[0] else (writer[0] + 1, 0.0)
        network = max(max(sends), block) / LINK
        seconds += 2 * ROUNDS * LATENCY + RANKS * LATENCY / 4 + network + block / RANK_DISK
    rate = moved / seconds
    print("  blocks of %8d bytes: %7.1f GB/s, so %6.1f s; buffers %6.0f MB a rank"
          % (block, rate / 1e9, total / rate, (RANKS + 2) * block / 1e6))


WRITERS = min(len(shards), RANKS)
print("saving shards: %d of %d ranks write, %.1f GB/s at most" % (WRITERS, RANKS, WRITERS * RANK_DISK / 1e9))
for block in 1 << 16, 1 << 18, 1 << 20, 1 << 22:
    saving(block, 60)
print("saving pieces: all ranks write their own file, %.1f s" % (total / min(FILE_SYSTEM, RANKS * RANK_DISK)))
