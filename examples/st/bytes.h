/* bytes.h: sizes as people write them. */
#ifndef ST_TOOL_BYTES_H
#define ST_TOOL_BYTES_H

#include <stdint.h>

/* "5GB", "1.5 gb", "500MB", "64KiB", "1TiB", "4096": units in any case, blanks around them; KB, MB, GB and TB are powers
 * of 1000, KiB, MiB, GiB and TiB of 1024, B or no unit is bytes. A fraction of a byte is dropped. 1, or 0 where the text
 * is no size or not below 2^64. */
int parse_bytes(const char *text, uint64_t *bytes);

#endif
