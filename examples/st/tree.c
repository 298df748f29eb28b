/* tree.c: shows the tensors of a model as a tree of the components of their names.
 *
 * The tree is not built: the tensors are sorted by the components of their names, so that each node is a part of the
 * list whose names begin with the same bytes. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 }; /* what follows in a name is one component: names come from strangers */

typedef struct span {
    const char *text;
    size_t n;
} span;

typedef struct tree {
    const st_tensor **tensors; /* sorted */
    size_t width, name_width;  /* of the current line; of the longest one */
    tensor_totals overall;
    int measures; /* prints nothing */
} tree;

typedef struct node {             /* tensors [begin, end); a range of numbers: as many again for each further number */
    size_t begin, end, range_end; /* range_end: where the last number ends */
    size_t prefix;                /* bytes of the names before the component */
    span component;
    uint64_t count; /* of numbers; 1 if it is not a range */
    int is_leaf;
} node;

/* ---- components --------------------------------------------------------------------------------------------- */

static int ends_component(char c) {
    return c == '.' || c == '/';
}

static span component_at(const st_tensor *t, size_t prefix, unsigned depth) {
    span c;
    size_t i = prefix;
    while (i < t->name_bytes && (depth >= MAX_DEPTH || !ends_component(t->name[i]))) i++;
    c.text = t->name + prefix;
    c.n = i - prefix;
    return c;
}

static int compare_bytes(span a, span b) {
    return compare_text(a.text, a.n, b.text, b.n);
}

/* Returns 1 for digits that put_number writes, of at most 9 digits. */
static int is_number(span c) {
    size_t i;
    for (i = 0; i < c.n && c.text[i] >= '0' && c.text[i] <= '9'; i++) continue;
    return i > 0 && i == c.n && c.n <= 9 && (c.text[0] != '0' || c.n == 1);
}

static uint64_t number_of(span c) {
    uint64_t n = 0;
    parse_digits(&c.text, &n); /* a component is followed by a dot, a slash or a NUL */
    return n;
}

/* Numbers come in the order of their values, before all other components. */
static int compare_components(span a, span b) {
    const int numbers = is_number(a) + is_number(b);
    if (numbers == 2 && a.n != b.n) return a.n < b.n ? -1 : 1;
    if (numbers == 1) return is_number(a) ? -1 : 1;
    return compare_bytes(a, b);
}

static int compare_names(const void *x, const void *y) {
    const st_tensor *a = *(const st_tensor *const *)x, *b = *(const st_tensor *const *)y;
    size_t offset = 0;
    unsigned depth = 0;
    for (;; depth++) {
        const span c = component_at(a, offset, depth), d = component_at(b, offset, depth);
        const int order = compare_components(c, d);
        if (order) return order;
        offset += c.n;
        if (offset == a->name_bytes || offset == b->name_bytes) {
            return a->name_bytes < b->name_bytes ? -1 : a->name_bytes > b->name_bytes;
        }
        if (a->name[offset] != b->name[offset]) return a->name[offset] < b->name[offset] ? -1 : 1;
        offset++;
    }
}

/* ---- nodes -------------------------------------------------------------------------------------------------- */

/* Returns 1 if the name of t has the same component, followed by the same separator or by its end. A name that ends is
 * a node of its own. */
static int is_in_node(const node *n, const st_tensor *first, const st_tensor *t, unsigned depth) {
    const span c = component_at(t, n->prefix, depth);
    const size_t at = n->prefix + c.n;
    return !n->is_leaf && compare_bytes(c, n->component) == 0 && at < t->name_bytes && t->name[at] == first->name[at];
}

static node first_node(const tree *t, size_t begin, size_t end, size_t prefix, unsigned depth) {
    const st_tensor *first = t->tensors[begin];
    node n;
    memset(&n, 0, sizeof n);
    n.begin = begin;
    n.prefix = prefix;
    n.component = component_at(first, prefix, depth);
    n.count = 1;
    n.is_leaf = prefix + n.component.n == first->name_bytes;
    for (n.end = begin + 1; n.end < end && is_in_node(&n, first, t->tensors[n.end], depth); n.end++) continue;
    n.range_end = n.end;
    return n;
}

static int is_same_layer(const tree *t, const node *a, const node *b) {
    size_t i;
    if (a->end - a->begin != b->end - b->begin || a->is_leaf != b->is_leaf) return 0;
    for (i = 0; i < a->end - a->begin; i++) {
        const st_tensor *x = t->tensors[a->begin + i], *y = t->tensors[b->begin + i];
        const size_t x_skip = a->prefix + a->component.n, y_skip = b->prefix + b->component.n;
        const span x_rest = {x->name + x_skip, x->name_bytes - x_skip};
        const span y_rest = {y->name + y_skip, y->name_bytes - y_skip};
        if (compare_bytes(x_rest, y_rest) != 0 || strcmp(x->dtype_name, y->dtype_name) != 0 || x->bytes != y->bytes ||
            x->rank != y->rank || memcmp(x->shape, y->shape, x->rank * sizeof *x->shape) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Returns the node at `begin`, with all numbers that follow it and have the same tensors. */
static node node_at(const tree *t, size_t begin, size_t end, size_t prefix, unsigned depth) {
    node n = first_node(t, begin, end, prefix, depth);
    if (!is_number(n.component)) return n;
    while (n.range_end < end) {
        const node next = first_node(t, n.range_end, end, prefix, depth);
        if (!is_number(next.component) || number_of(next.component) != number_of(n.component) + n.count) break;
        if (!is_same_layer(t, &n, &next)) break;
        n.range_end = next.end;
        n.count++;
    }
    return n;
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

static void put_part(tree *t, const char *text, size_t n) {
    t->width += text_width(text, n);
    if (!t->measures) put_text(stdout, text, n);
}

static void put_component(tree *t, const node *n) {
    if (n->count == 1) {
        put_part(t, n->component.text, n->component.n);
        return;
    }
    put_part(t, "{", 1);
    put_part(t, n->component.text, n->component.n);
    t->width += 3 + number_width(number_of(n->component) + n->count - 1);
    if (t->measures) return;
    fputs("..", stdout);
    put_number(stdout, number_of(n->component) + n->count - 1);
    putc('}', stdout);
}

static void put_column(uint64_t number, uint64_t widest) {
    put_spaces(stdout, 2 + number_width(widest) - number_width(number));
    put_number(stdout, number);
}

/* Ends the line of a node that is there `repeats` times. */
static void end_node(tree *t, const node *n, uint64_t repeats) {
    const st_tensor *first = t->tensors[n->begin];
    uint64_t bytes = 0;
    size_t i;
    if (t->width > t->name_width && t->measures) t->name_width = t->width;
    if (t->measures) return;
    for (i = n->begin; i < n->end; i++) bytes += t->tensors[i]->bytes;
    put_spaces(stdout, t->name_width > t->width ? t->name_width - t->width : 0);
    put_column((n->end - n->begin) * repeats, t->overall.tensors);
    put_column(bytes * repeats, t->overall.bytes);
    if (n->is_leaf) {
        fputs("  ", stdout);
        put_text(stdout, first->dtype_name, strlen(first->dtype_name));
        putc(' ', stdout);
        put_shape(stdout, first);
    }
    end_line();
}

/* Puts the nodes of [begin, end), whose names share a prefix. */
static void put_nodes(tree *t, size_t begin, size_t end, size_t prefix, unsigned depth, unsigned indent,
                      uint64_t repeats) {
    while (begin < end) {
        node n = node_at(t, begin, end, prefix, depth);
        const size_t next = n.range_end;
        uint64_t node_repeats = repeats * n.count;
        unsigned node_depth = depth;
        t->width = (size_t)2 * indent;
        if (!t->measures) put_spaces(stdout, t->width);
        put_component(t, &n);
        while (!n.is_leaf) { /* a node with one child is on the child's line */
            const size_t at = n.prefix + n.component.n;
            const node child = node_at(t, n.begin, n.end, at + 1, node_depth + 1);
            if (child.range_end != n.end) break;
            put_part(t, t->tensors[n.begin]->name + at, 1);
            n = child;
            node_depth++;
            node_repeats *= n.count;
            put_component(t, &n);
        }
        end_node(t, &n, node_repeats);
        if (!n.is_leaf) {
            put_nodes(t, n.begin, n.end, n.prefix + n.component.n + 1, node_depth + 1, indent + 1, node_repeats);
        }
        begin = next;
    }
}

void put_tree(const st_tensor **tensors, size_t count, const tensor_totals *overall, const colours *colour) {
    tree t;
    memset(&t, 0, sizeof t);
    t.tensors = tensors;
    t.name_width = 4;
    t.overall = *overall;
    qsort((void *)tensors, count, sizeof *tensors, compare_names);
    t.measures = 1;
    put_nodes(&t, 0, count, 0, 0, 0, 1);
    t.measures = 0;
    if (t.name_width > MAX_COLUMN) t.name_width = MAX_COLUMN;
    if (number_width(overall->tensors) < 7) t.overall.tensors = 1000000; /* as wide as the headings */
    if (number_width(overall->bytes) < 5) t.overall.bytes = 10000;
    printf("%s%-*s", colour->strong, (int)t.name_width, "name");
    put_spaces(stdout, 2 + number_width(t.overall.tensors) - 7);
    fputs("tensors", stdout);
    put_spaces(stdout, 2 + number_width(t.overall.bytes) - 5);
    printf("bytes%s", colour->off);
    end_line();
    put_nodes(&t, 0, count, 0, 0, 0, 1);
    end_line();
}
