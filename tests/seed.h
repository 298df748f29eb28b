/* seed.h: lets a test choose names that collide. Include it before safetensors.h. While fixed_seed is set, all
 * tables use the same hash; otherwise the hash depends on the table's address, as in programs. */
#ifndef SEED_H
#define SEED_H

static int fixed_seed;
#define STI_SEED(table) (fixed_seed ? 0 : (uintptr_t)(table)->slots)

#endif
