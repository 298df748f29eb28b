/* hub.h: downloads from the Hugging Face hub into the cache that st_open_hub and huggingface_hub read. */
#ifndef REMOTE_HUB_H
#define REMOTE_HUB_H

#include "http.h"

typedef struct hub_choice { /* all files, if there are neither names nor patterns */
    char *const *names;
    int name_count, pattern_count, is_info; /* is_info: only print what the hub says about them */
    const char *patterns[16];
} hub_choice;

/* repository: [TYPE/]OWNER/NAME[@REVISION]. Prints the paths of the files. Returns 0 or sets h->error. */
int hub_fetch(http *h, const char *endpoint, const char *repository, const hub_choice *choice);

#endif
