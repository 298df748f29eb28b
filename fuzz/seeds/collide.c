/* collide.c: metadata keys that all hash to one place of the table, so many of them that lookup must give the table up.
   usage: collide >FILE   (the option bytes of fuzz_open come first)
   Private names of the header are used here: when its hash changes, make.py makes this seed anew. */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include <stdio.h>
#include <string.h>

enum { KEYS = 330, KEY_BYTES = 4 }; /* more than 32 for each of the 9 bits that count them */

int main(void) {
    static char header[KEYS * 16 + 64];
    unsigned long n = 0, found = 0, candidate;
    sti_name_table x;
    sti_span key;
    char text[KEY_BYTES + 1];
    memset(&x, 0, sizeof x);
    x.capacity = sti_table_capacity(KEYS, 0);
    key.at = text;
    key.n = KEY_BYTES;
    n += (unsigned long)sprintf(header, "{\"__metadata__\":{");
    for (candidate = 0; found < KEYS && candidate < 26 * 26 * 26 * 26; candidate++) {
        unsigned long rest = candidate;
        int i;
        for (i = 0; i < KEY_BYTES; i++, rest /= 26) text[i] = (char)('a' + (int)(rest % 26));
        text[KEY_BYTES] = 0;
        if (sti_table_home(&x, sti_hash(key)) != 0) continue;
        n += (unsigned long)sprintf(header + n, "%s\"%s\":\"\"", found ? "," : "", text);
        found++;
    }
    n += (unsigned long)sprintf(header + n, "}}");
    printf("%c%c%c%c%c%c%c%c%c%c%s", 0, 0, (int)(n & 255), (int)(n >> 8), 0, 0, 0, 0, 0, 0, header);
    return found < KEYS;
}
