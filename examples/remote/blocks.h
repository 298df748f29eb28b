/* blocks.h: files behind HTTP as st_io and st_files, through a cache of blocks that several connections fill. */
#ifndef REMOTE_BLOCKS_H
#define REMOTE_BLOCKS_H

#include "http.h"
#include "safetensors.h"

enum { MOST_CONNECTIONS = 8 };

typedef struct blocks blocks;

/* Starts the connections. url: of the model, without a query, which is appended to the URLs of shards too. Both are
 * borrowed. Returns NULL if memory runs out. */
blocks *blocks_begin(const http_settings *settings, int connections, const char *url, const char *query);
void blocks_end(blocks *b); /* after st_close */
/* The open callback of st_files. The first answer brings the length of a file and its first block. */
int blocks_open(void *user, const char *path, st_io *file);
void blocks_close(void *user, st_io *file);
void blocks_error(blocks *b, char text[HTTP_ERROR]); /* copies what failed last; "" if nothing did */

#endif
