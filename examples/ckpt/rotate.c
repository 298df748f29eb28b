/* rotate.c: deletes the oldest checkpoints.
 *
 * A checkpoint that is to be deleted first gets a name that is no checkpoint's, and that is flushed to the device. So a
 * deletion that is interrupted leaves no damaged checkpoint, and the next rotation completes it. Rotations may run at
 * the same time: they agree about the order, and what another one has deleted is no error. */
#include "ckpt.h"
#include <stdio.h>
#include <string.h>

/* Marks the checkpoint that a path leads to; a name in DIR/checkpoints will do. Returns 0 after a message. */
static int keep(checkpoint_list *list, const char *path) {
    file_info info;
    size_t i;
    int found = 0;
    const int exists = folder_info(NULL, path, 1, &info) && info.kind != KIND_MISSING;
    for (i = 0; i < list->count; i++) {
        checkpoint *c = &list->items[i];
        const int is_same = exists && c->info.device == info.device && c->info.number == info.number;
        if (is_same || strcmp(c->name, path) == 0) found = c->is_kept = 1;
    }
    return found || !complain(path, "to be kept, but no checkpoint of this run; nothing was deleted");
}

static void put_paths(const checkpoint_list *list, int is_deleted) {
    const char *before = "";
    size_t i;
    for (i = 0; i < list->count; i++) {
        if (list->items[i].is_deleted != is_deleted) continue;
        put_member(before, list->items[i].path);
        before = ", ";
    }
}

int run_rotate(const request *r) {
    const unsigned long most = option_number(r, "--max", 0);
    const char *path;
    checkpoint_list list;
    size_t i, k, excess;
    int ok = 1, keeps, is_dry = option_value(r, "--dry-run") != NULL;
    if (most == 0) return usage("expected --max N with a number from 1 to 999999999", "");
    if (!list_checkpoints(&list, r->dir)) return 1;
    for (k = 0; k < 2; k++) {
        for (i = 0; ok && (path = next_option(r, k ? "--best" : "--keep", &i)) != NULL;) ok = keep(&list, path);
    }
    keeps = ok; /* everything that must be kept is known */
    excess = ok && list.count > most ? list.count - most : 0;
    for (i = 0; i < list.count && excess; i++) {
        if (list.items[i].is_kept) continue;
        excess--;
        list.items[i].is_deleted = is_dry || folder_doom(list.root, list.items[i].name, &list.items[i].info);
        ok = (list.items[i].is_deleted || !complain(list.items[i].path, system_error())) && ok;
    }
    if (list.root && !is_dry && keeps) {
        ok = (folder_delete_doomed(list.root) || !complain(list.path, system_error())) && ok;
    }
    folder_close(list.root);
    fputs("{\"deleted\": [", stdout);
    put_paths(&list, 1);
    fputs("], \"kept\": [", stdout);
    put_paths(&list, 0);
    printf("], \"dry_run\": %s}\n", is_dry ? "true" : "false");
    return !ok;
}
