/* seed.h: before safetensors.h, in tests that choose names against its hash. While fixed_seed is set, all tables have one
 * hash; otherwise it depends on the table's address, as it does in programs. */
#ifndef SEED_H
#define SEED_H

static int fixed_seed;
#define STI_SEED(table) (fixed_seed ? 0 : (uintptr_t)(table)->slots)

#endif
