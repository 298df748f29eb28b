/* collide.c: writes a file whose metadata keys all hash to slot 0 of the table for a seed of 0, more keys than the table
 * probes, so that it must fall back to a sorted list. The library derives its seed from the table's address, so the keys
 * collide only in a program built with '-DSTI_SEED(table)=0'; to others the file has ordinary keys.
 * Usage: collide >FILE. The file starts with the option bytes of fuzz_open. make.py runs this program; it uses internal
 * functions of safetensors.h, so run make.py again when the hash changes. */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include <stdio.h>
#include <string.h>

enum { KEYS = 330, KEY_BYTES = 4 }; /* more than the probe limit: 32 slots for each of the 9 bits of an item */

int main(void) {
    static char header[KEYS * 16 + 64];
    unsigned long n = 0, found = 0, candidate;
    sti_name_table x;
    sti_span key;
    char text[KEY_BYTES + 1];
    memset(&x, 0, sizeof x);
    x.capacity = sti_table_capacity(KEYS);
    sti_table_seed(&x, 0);
    key.at = text;
    key.n = KEY_BYTES;
    n += (unsigned long)sprintf(header, "{\"__metadata__\":{");
    for (candidate = 0; found < KEYS && candidate < 26 * 26 * 26 * 26; candidate++) {
        unsigned long rest = candidate;
        int i;
        for (i = 0; i < KEY_BYTES; i++, rest /= 26) text[i] = (char)('a' + (int)(rest % 26));
        text[KEY_BYTES] = 0;
        if (sti_table_home(&x, sti_hash(&x, key)) != 0) continue;
        n += (unsigned long)sprintf(header + n, "%s\"%s\":\"\"", found ? "," : "", text);
        found++;
    }
    n += (unsigned long)sprintf(header + n, "}}");
    printf("%c%c%c%c%c%c%c%c%c%c%s", 0, 0, (int)(n & 255), (int)(n >> 8), 0, 0, 0, 0, 0, 0, header);
    return found < KEYS;
}
