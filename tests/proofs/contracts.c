/* contracts.c: what functions of the header require and promise. Frama-C's WP proves it for arguments and texts of every
 * size; tests/proofs/run.sh lists the functions. A contract follows the definition that it describes, and names it again. */

#include <stdint.h>

/* a scanner and the text that it may read; a macro, since the loops of the header come before any predicate */
#define Text(j)                                                                         \
    (\valid(j) && \base_addr((j)->at) == \base_addr((j)->end) && (j)->at <= (j)->end && \
        (j)->end - (j)->at <= INT32_MAX && \valid_read((j)->at + (0..(j)->end - (j)->at - 1)) &&            \
     \separated(j, (j)->error))

/*@ logic integer Continuation(integer code) = (unsigned char)(0x80 | (code & 0x3F)); */

/*@ logic integer HexDigit(integer c) = '0' <= c <= '9' ? c - '0' : 'a' <= c <= 'f' ? c - 'a' + 10 :
        'A' <= c <= 'F' ? c - 'A' + 10 : -1; */

/*@ logic integer HexValue(unsigned char *s, integer n) =
        n <= 0 ? 0 : 16 * HexValue(s, n - 1) + HexDigit(s[n - 1]); */

/*@ predicate Blank(integer c) = c == 0x20 || c == 0x0A || c == 0x09 || c == 0x0D; */

/* the code point after one more continuation byte */
/*@ logic integer Appended(integer code, unsigned char c) = (uint32_t)(code << 6) | (c & 0x3F); */

#define ST_IMPLEMENTATION
#define ST_FREESTANDING
#include "annotated.h" /* safetensors.h with the loop annotations of loops.acsl */

/* ---- memory and arithmetic */

/*@ requires \valid((unsigned char *)dst + (0 .. n - 1));
    assigns ((unsigned char *)dst)[0 .. n - 1];
    ensures \result == dst;
    ensures \forall integer i; 0 <= i < n ==> ((unsigned char *)dst)[i] == (unsigned char)value; */
static void *sti_memset(void *dst, int value, size_t n);

/*@ requires \valid_read((unsigned char *)a + (0 .. n - 1)) && \valid_read((unsigned char *)b + (0 .. n - 1));
    assigns \nothing;
    ensures \result == 0 <==> \forall integer i; 0 <= i < n ==> ((unsigned char *)a)[i] == ((unsigned char *)b)[i]; */
static int sti_memcmp(const void *a, const void *b, size_t n);

/*@ assigns \nothing;
    ensures \result == \min(SIZE_MAX, count * size); */
static size_t sti_multiply_saturated(size_t count, size_t size);

/*@ assigns \nothing;
    ensures \result == \min(UINT64_MAX, a + b); */
static uint64_t sti_add64_saturated(uint64_t a, uint64_t b);

/*@ assigns \nothing;
    ensures \result == \min(SIZE_MAX, a + b); */
static size_t sti_add_saturated(size_t a, size_t b);

/*@ logic integer Little32(unsigned char *b) =
        b[0] | (uint32_t)(b[1] << 8) | (uint32_t)(b[2] << 16) | (uint32_t)(b[3] << 24); */

/*@ requires \valid_read((unsigned char *)p + (0 .. 3));
    assigns \nothing;
    ensures \result == Little32((unsigned char *)p); */
static uint32_t sti_load32(const void *p);

/*@ requires \valid_read((unsigned char *)p + (0 .. 7));
    assigns \nothing;
    ensures \result == (Little32((unsigned char *)p) | (uint64_t)(Little32((unsigned char *)p + 4) << 32)); */
static uint64_t sti_load64(const void *p);

/* ---- UTF-8 */

/*@ requires n > 0 && \valid_read(s + (0 .. n - 1));
    assigns \nothing;
    ensures \result == 1 <==> s[0] < 0x80;
    ensures \result == 2 <==> n >= 2 && 0xC2 <= s[0] <= 0xDF && 0x80 <= s[1] <= 0xBF;
    ensures \result == 3 <==> n >= 3 && 0xE0 <= s[0] <= 0xEF &&
        (s[0] == 0xE0 ? 0xA0 : 0x80) <= s[1] <= (s[0] == 0xED ? 0x9F : 0xBF) && 0x80 <= s[2] <= 0xBF;
    ensures \result == 4 <==> n >= 4 && 0xF0 <= s[0] <= 0xF4 &&
        (s[0] == 0xF0 ? 0x90 : 0x80) <= s[1] <= (s[0] == 0xF4 ? 0x8F : 0xBF) &&
        0x80 <= s[2] <= 0xBF && 0x80 <= s[3] <= 0xBF;
    ensures 0 <= \result <= 4 && \result <= n; */
static size_t sti_utf8_length(const unsigned char *s, size_t n);

/*@ requires \valid_read(s + (0 .. n - 1));
    assigns \nothing;
    ensures 0 <= \result <= n; */
static size_t sti_utf8_prefix(const unsigned char *s, size_t n);

/*@ requires code <= 0x10FFFF && \valid(out + (0 .. 3));
    assigns out[0 .. 3];
    ensures \result == (code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
    ensures \result == 1 ==> out[0] == code;
    ensures \result == 2 ==> out[0] == (unsigned char)(0xC0 | code >> 6) && out[1] == Continuation(code);
    ensures \result == 3 ==> out[0] == (unsigned char)(0xE0 | code >> 12) && out[1] == Continuation(code >> 6) &&
        out[2] == Continuation(code);
    ensures \result == 4 ==> out[0] == (unsigned char)(0xF0 | code >> 18) && out[1] == Continuation(code >> 12) &&
        out[2] == Continuation(code >> 6) && out[3] == Continuation(code); */
static size_t sti_utf8_encode(uint32_t code, unsigned char out[4]);

/*@ requires 1 <= n <= 4 && \valid_read(s + (0 .. n - 1));
    assigns \nothing;
    ensures n == 1 ==> \result == (s[0] & 0x7F);
    ensures n == 2 ==> \result == Appended(s[0] & 0x1F, s[1]);
    ensures n == 3 ==> \result == Appended(Appended(s[0] & 0x0F, s[1]), s[2]);
    ensures n == 4 ==> \result == Appended(Appended(Appended(s[0] & 0x07, s[1]), s[2]), s[3]); */
static uint32_t sti_utf8_decode(const unsigned char *s, size_t n);

/* ---- JSON: every function keeps `at` between its old value and the end of the text, and reads nothing outside of it */

/* assumed, not proved: WP's memory model has no byte-wise memset of a struct */
/*@ assigns *e;
    ensures \result == status;
    ensures e != \null ==> e->status == status && e->position == position; */
static st_status sti_fail(st_error *e, st_status status, uint64_t position, uint64_t expected, uint64_t actual,
                          const char *sentence);

/*@ requires Text(j);
    assigns \nothing;
    ensures j->end_offset >= j->end - j->at ==> \result == j->end_offset - (j->end - j->at); */
static uint32_t sti_json_offset(const sti_json *j);

/*@ requires Text(j);
    assigns *j->error;
    ensures \result == status;
    ensures j->error != \null ==> j->error->status == status && j->error->position == j->base_offset + offset; */
static st_status sti_json_fail_at(const sti_json *j, uint32_t offset, st_status status, const char *sentence);

/*@ requires Text(j);
    assigns *j->error;
    ensures \result == status;
    ensures j->error != \null && j->end_offset >= j->end - j->at ==>
        j->error->position == j->base_offset + j->end_offset - (j->end - j->at); */
static st_status sti_json_fail(const sti_json *j, st_status status, const char *sentence);

/*@ assigns \nothing;
    ensures \result <==> Blank(c); */
static int sti_is_blank(int c);

/*@ requires Text(j);
    assigns \nothing;
    ensures j->at == j->end ? \result == -1 : \result == *j->at;
    ensures -1 <= \result <= 255; */
static int sti_json_byte(const sti_json *j);

/*@ requires Text(j);
    assigns j->at;
    ensures Text(j) && \old(j->at) <= j->at;
    ensures \forall integer i; 0 <= i < j->at - \old(j->at) ==> Blank(\old(j->at)[i]);
    ensures j->at == j->end ? \result == -1 : \result == *j->at;
    ensures -1 <= \result <= 255 && !Blank(\result); */
static int sti_json_peek(sti_json *j);

/*@ requires Text(j);
    assigns j->at, *j->error;
    ensures Text(j) && \old(j->at) <= j->at;
    ensures \result == ST_OK ==> \old(j->at) < j->at && *(j->at - 1) == ':';
    ensures \result != ST_OK ==> \result == ST_ERR_JSON && (j->at == j->end || *j->at != ':'); */
static st_status sti_json_colon(sti_json *j);

/*@ requires Text(j) && \valid(has_item) && \separated(j, has_item) && \separated(has_item, j->error);
    requires open == '{' || open == '[';
    assigns j->at, *has_item, *j->error;
    ensures Text(j) && \old(j->at) <= j->at;
    ensures \result == ST_OK ==> \old(j->at) < j->at && *(j->at - 1) == (*has_item ? ',' : open == '{' ? '}' : ']');
    ensures \result != ST_OK ==> \result == ST_ERR_JSON &&
        (j->at == j->end || (*j->at != ',' && *j->at != (open == '{' ? '}' : ']'))); */
static st_status sti_json_next(sti_json *j, int open, int *has_item);

/*@ requires Text(j);
    assigns *j->error;
    ensures \result == ST_ERR_SCHEMA || \result == ST_ERR_JSON; */
static st_status sti_json_fail_type(sti_json *j, const char *sentence);

/*@ requires Text(j) && \valid(has_item) && \separated(j, has_item) && \separated(has_item, j->error);
    requires open == '{' || open == '[';
    assigns j->at, *has_item, *j->error;
    ensures Text(j) && \old(j->at) <= j->at;
    ensures \result == ST_OK ==> \old(j->at) < j->at;
    ensures \result == ST_OK && !*has_item ==> *(j->at - 1) == (open == '{' ? '}' : ']'); */
static st_status sti_json_enter(sti_json *j, int open, int *has_item, const char *sentence);

/*@ requires Text(j) && \valid(value) && \separated(j, value) && \separated(value, j->error);
    requires \separated(value, j->at + (0 .. j->end - j->at - 1));
    assigns j->at, *value, *j->error;
    ensures Text(j) && \old(j->at) <= j->at <= \old(j->at) + 4;
    ensures \result == ST_OK <==> \old(j->at) + 4 <= j->end &&
        \forall integer i; 0 <= i < 4 ==> HexDigit(\old(j->at)[i]) >= 0;
    ensures \result == ST_OK ==> j->at == \old(j->at) + 4 && *value == HexValue(\old(j->at), 4) <= 0xFFFF; */
static st_status sti_json_hex(sti_json *j, uint32_t *value);

/*@ requires Text(j) && \valid(seen) && \valid(power) && \separated(j, seen, power, j->error);
    requires -1 - 4294967296 <= *power <= 4294967296;
    requires (fraction == 0 || fraction == 1) && (*seen == 0 || *seen == 1);
    assigns j->at, *seen, *power, *j->error;
    ensures Text(j) && \old(j->at) <= j->at;
    ensures \result == ST_OK ==> \old(j->at) < j->at && (j->at == j->end || *j->at < '0' || *j->at > '9');
    ensures \result != ST_OK ==> j->at == \old(j->at) && \result == ST_ERR_JSON;
    ensures \forall integer i; 0 <= i < j->at - \old(j->at) ==> '0' <= \old(j->at)[i] <= '9';
    ensures \old(*seen) ==> *seen && *power == \old(*power) + (fraction ? 0 : j->at - \old(j->at));
    ensures !*seen ==> *power == \old(*power) - (fraction ? j->at - \old(j->at) : 0); */
static st_status sti_json_skip_digits(sti_json *j, int fraction, int *seen, int64_t *power);

/* ---- views */

/*@ requires v == \null || (\valid_read(v) && (v->axes != \null ==> \valid_read(v->axes + axis)));
    assigns \nothing;
    ensures \result == (v == \null || v->axes == \null ? axis : v->axes[axis]); */
static uint32_t sti_stored_axis(const st_view *v, uint32_t axis);
