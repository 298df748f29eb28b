/* bytes.h: parses sizes such as 1.5GB. */
#ifndef ST_TOOL_BYTES_H
#define ST_TOOL_BYTES_H

#include <stdint.h>

/* Parses a size: "5GB", "1.5 gb", "500MB", "64KiB", "1TiB", "4096". KB, MB, GB and TB are powers of 1000; KiB, MiB, GiB
 * and TiB are powers of 1024; B or no unit means bytes. Upper and lower case and blanks around the unit do not matter.
 * Fractions of a byte are dropped. Returns 1, or 0 if the text is no size or the size is 2^64 or more. */
int parse_bytes(const char *text, uint64_t *bytes);

#endif
