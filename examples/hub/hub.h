/* hub.h: the commands `fetch` and `info` of this program, which examples/remote has too. */
#ifndef HUB_H
#define HUB_H

int hub_main(int argc, char **argv); /* returns an exit status */

#endif
