/* pickle.c: a pickle machine that runs no code. */
#include "pickle.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4096, MAX_MEMO = 1 << 28 };
enum { TO_MARK = -1 };

static value mark = {MARK, 0, 0, {0}};

/* ---- constants --------------------------------------------------------------------------------------------------- */

value *new_value(guard *g, kind what) {
    value *v = (value *)guard_allocate(g, sizeof *v);
    v->kind = (uint8_t)what;
    return v;
}

value *new_number(guard *g, kind what, uint64_t bits) {
    value *v = new_value(g, what);
    memcpy(&v->u, &bits, sizeof bits);
    return v;
}

uint64_t little_number(const char *bytes, size_t count, int is_signed) {
    uint64_t number = is_signed && count && bytes[count - 1] & 0x80 ? UINT64_MAX : 0;
    while (count-- > 0) number = number << 8 | (unsigned char)bytes[count];
    return number;
}

int is_text(const value *v, const char *text) {
    return v->kind == TEXT && v->count == strlen(text) && memcmp(v->u.text, text, v->count) == 0;
}

static uint64_t next(pickle *p, size_t bytes) {
    char number[8];
    p->read(p->user, p->at, number, bytes);
    p->at += bytes;
    return little_number(number, bytes, 0);
}

static value *read_text(pickle *p, uint64_t bytes) {
    value *v = new_value(p->guard, TEXT);
    char *text;
    if (bytes > p->end - p->at || bytes >= UINT32_MAX) guard_fail(p->guard, "a text is longer than the file");
    v->u.text = text = (char *)guard_allocate(p->guard, (size_t)bytes + 1);
    v->count = (uint32_t)bytes;
    p->read(p->user, p->at, text, (size_t)bytes);
    p->at += bytes;
    return v;
}

static value *read_line(pickle *p) {
    const uint64_t begin = p->at;
    uint64_t bytes = 0;
    value *v;
    for (; next(p, 1) != '\n'; bytes++) {
        if (bytes == MAX_LINE) guard_fail(p->guard, "a line is longer than 4,096 bytes");
    }
    p->at = begin;
    v = read_text(p, bytes);
    p->at++;
    return v;
}

static value *read_long(pickle *p, uint64_t bytes) {
    value *v = read_text(p, bytes);
    if (bytes > 8) return v; /* a longer one stays text */
    return new_number(p->guard, INTEGER, little_number(v->u.text, v->count, 1));
}

static value *read_decimal(pickle *p) {
    value *line = read_line(p);
    char *end;
    const long long number = strtoll(line->u.text, &end, 10);
    const int is_bool = line->count == 2 && line->u.text[0] == '0'; /* 00, 01 */
    if (line->count == 0 || (*end && *end != 'L')) guard_fail(p->guard, "invalid integer");
    return line->count > 19 ? line : new_number(p->guard, is_bool ? BOOL : INTEGER, (uint64_t)number);
}

static value *read_float(pickle *p) {
    uint64_t bits = 0;
    int i;
    for (i = 0; i < 8; i++) bits = bits << 8 | next(p, 1);
    return new_number(p->guard, NUMBER, bits);
}

/* ---- the stack and the memo -------------------------------------------------------------------------------------- */

static void push(pickle *p, value *v) {
    p->stack = (value **)guard_grow(p->guard, p->stack, p->depth, sizeof *p->stack);
    p->stack[p->depth++] = v;
}

static value *top(pickle *p) {
    if (p->depth == 0 || p->stack[p->depth - 1]->kind == MARK) guard_fail(p->guard, "the stack is empty");
    return p->stack[p->depth - 1];
}

static value *pop(pickle *p) {
    value *v = top(p);
    p->depth--;
    return v;
}

/* Moves the last `wanted` values of the stack into a new list, tuple or dictionary, or those from the last mark on. */
static value *pop_values(pickle *p, kind what, int wanted) {
    value *v = new_value(p->guard, what);
    size_t places = 4, n = 0;
    while (n < p->depth && n != (size_t)wanted && p->stack[p->depth - 1 - n]->kind != MARK) n++;
    if (n > UINT32_MAX / 2 || (wanted == TO_MARK ? n == p->depth : n < (size_t)wanted)) {
        guard_fail(p->guard, "the stack has too few values");
    }
    if (what == DICT && n % 2 != 0) guard_fail(p->guard, "a key without a value");
    while (places < n) places *= 2; /* as guard_grow() expects */
    if (what == TUPLE) places = n;
    v->u.items = (value **)guard_allocate(p->guard, places * sizeof *v->u.items);
    v->count = (uint32_t)n;
    if (n) memcpy(v->u.items, p->stack + p->depth - n, n * sizeof *v->u.items);
    p->depth -= n + (wanted == TO_MARK);
    return v;
}

static void put(pickle *p, uint64_t index) {
    value *v = top(p), **memo = p->memo;
    if (index > MAX_MEMO) guard_fail(p->guard, "the memo is too large");
    if (index >= p->memo_places) {
        const size_t places = index < 512 ? 1024 : 2 * (size_t)index;
        p->memo = (value **)guard_allocate(p->guard, places * sizeof *memo);
        if (memo) memcpy(p->memo, memo, p->memo_places * sizeof *memo);
        p->memo_places = places;
    }
    p->memo_count += !p->memo[index];
    p->memo[index] = v;
}

static value *get(pickle *p, uint64_t index) {
    if (index >= p->memo_places || !p->memo[index]) guard_fail(p->guard, "a value is fetched that was not stored");
    return p->memo[index];
}

void extend_value(guard *g, value *to, const value *added) {
    uint32_t i;
    if (to->kind == RECORD) return; /* a list or a dictionary of a class of its own */
    if (to->kind != added->kind) guard_fail(g, "values are added to what cannot hold them");
    for (i = 0; i < added->count; i++) {
        if (to->count > UINT32_MAX / 2) guard_fail(g, "too many values");
        to->u.items = (value **)guard_grow(g, to->u.items, to->count, sizeof *to->u.items);
        to->u.items[to->count++] = added->u.items[i];
    }
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static value *find_global(pickle *p, const value *module, const value *name) {
    value *v = new_value(p->guard, GLOBAL);
    if (module->kind != TEXT || name->kind != TEXT) guard_fail(p->guard, "the name of a global is not text");
    p->know_global(p->user, v, module, name);
    return v;
}

/* Returns the value that the opcode pushes, or NULL if it pushes none. */
static value *run_opcode(pickle *p, int opcode) {
    guard *g = p->guard;
    value *v, *w;
    switch (opcode) {
    case 'N': return new_value(g, NONE);
    case 0x88: return new_number(g, BOOL, 1);
    case 0x89: return new_number(g, BOOL, 0);
    case 'I':
    case 'L': return read_decimal(p);
    case 'J': return new_number(g, INTEGER, (uint64_t)(int32_t)(uint32_t)next(p, 4));
    case 'K': return new_number(g, INTEGER, next(p, 1));
    case 'M': return new_number(g, INTEGER, next(p, 2));
    case 'G': return read_float(p);
    case 0x8a: return read_long(p, next(p, 1));
    case 0x8b: return read_long(p, next(p, 4));
    case 'U': /* texts and bytes */
    case 'C':
    case 0x8c: return read_text(p, next(p, 1));
    case 'T':
    case 'B':
    case 'X': return read_text(p, next(p, 4));
    case 0x8d:
    case 0x8e:
    case 0x96: return read_text(p, next(p, 8));
    case '(': return &mark;
    case ')': return new_value(g, TUPLE);
    case ']':
    case 0x8f: return new_value(g, LIST); /* or a set */
    case '}': return new_value(g, DICT);
    case 0x85:
    case 0x86:
    case 0x87: return pop_values(p, TUPLE, opcode - 0x84);
    case 't': return pop_values(p, TUPLE, TO_MARK);
    case 'l':
    case 0x91: return pop_values(p, LIST, TO_MARK); /* or a frozen set */
    case 'd': return pop_values(p, DICT, TO_MARK);
    case '2': return top(p);
    case 'h': return get(p, next(p, 1));
    case 'j': return get(p, next(p, 4));
    case 'c': v = read_line(p), w = read_line(p); return find_global(p, v, w);
    case 0x93: w = pop(p), v = pop(p); return find_global(p, v, w);
    case 'P': return p->find_persistent(p->user, read_line(p));
    case 'Q': return p->find_persistent(p->user, pop(p));
    case 'R': /* calls, the last with named arguments */
    case 0x81:
    case 0x92:
        if (opcode == 0x92) (void)pop(p);
        w = pop(p), v = pop(p);
        if (v->kind != GLOBAL) guard_fail(g, "a call of what is no function");
        if (w->kind != TUPLE) guard_fail(g, "the arguments of a call are not a tuple");
        return p->call(p->user, v, w);
    case 0x80: /* protocol */
        if (next(p, 1) > 5) guard_fail(g, "a pickle of a protocol later than 5");
        return NULL;
    case 0x95: (void)next(p, 8); return NULL; /* frame */
    case '0': (void)pop(p); return NULL;
    case '1': (void)pop_values(p, LIST, TO_MARK); return NULL;
    case 'q': put(p, next(p, 1)); return NULL;
    case 'r': put(p, next(p, 4)); return NULL;
    case 0x94: put(p, p->memo_count); return NULL;
    case 'a': v = pop_values(p, LIST, 1), extend_value(g, top(p), v); return NULL;
    case 's': v = pop_values(p, DICT, 2), extend_value(g, top(p), v); return NULL;
    case 'e':
    case 0x90: v = pop_values(p, LIST, TO_MARK), extend_value(g, top(p), v); return NULL;
    case 'u': v = pop_values(p, DICT, TO_MARK), extend_value(g, top(p), v); return NULL;
    case 'b': /* attributes; those of a dictionary or of what the program made are of no interest */
        v = pop(p);
        if (top(p)->kind == RECORD) top(p)->u.state = v;
        return NULL;
    default: guard_fail(g, "an opcode that PyTorch does not use");
    }
}

value *pickle_load(pickle *p) {
    value *v;
    p->stack = p->memo = NULL;
    p->depth = p->memo_places = p->memo_count = 0;
    for (p->guard->place = "pickle";;) {
        int opcode;
        p->guard->at = p->at;
        opcode = (int)next(p, 1);
        if (opcode == '.') break;
        v = run_opcode(p, opcode);
        if (v) push(p, v);
    }
    v = pop(p);
    p->guard->place = NULL;
    return v;
}
