/* memory.h: memory for programs that run one job and end: nothing is freed before the end, and there is no error to
 * handle. Not for what grows with the data. */
#ifndef EXAMPLES_MEMORY_H
#define EXAMPLES_MEMORY_H

#include <stddef.h>

void *allocate(size_t bytes); /* zeroed; ends the program with status 1 and a message if there is none */
void free_memory(void);       /* all of it */

#endif
