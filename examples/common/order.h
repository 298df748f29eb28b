/* order.h: the byte order of files. */
#ifndef EXAMPLES_ORDER_H
#define EXAMPLES_ORDER_H

#include "safetensors.h"

/* Swaps numbers in the machine's byte order, such as those of st_read_as, to the little-endian order of files. Does
 * nothing on a little-endian machine. */
void to_file_order(void *numbers, size_t bytes, st_dtype dtype);

#endif
