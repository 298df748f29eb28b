/* hub.h: the commands `fetch` and `info` of this program, which examples/remote has too. */
#ifndef HUB_H
#define HUB_H

int hub_main(const char *program, int argc, char **argv); /* program: for messages; returns an exit status */

#endif
