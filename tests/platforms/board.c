/* board.c: start, output and stack of the boards that QEMU and simavr model; a WebAssembly module without any library. */
#include "board.h"
#include <stdint.h>

int main(void);

#if defined(__AVR__) /* avr-libc starts main */

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

extern unsigned char __heap_start[]; /* the end of the data */
#define STACK_LOW __heap_start

void board_print(const char *text) {
    UCSR0B = 1 << TXEN0;
    for (; *text; text++) {
        while (!(UCSR0A & 1 << UDRE0)) {}
        UDR0 = (uint8_t)*text;
    }
}

void board_read_flash(void *dst, const void *flash, size_t bytes) {
    memcpy_P(dst, flash, bytes);
}

/* ends simavr; after main */
static void __attribute__((destructor)) stop(void) {
    cli();
    sleep_mode();
}

#elif defined(__arm__) || defined(__riscv) || defined(__wasm__)

#if !defined(__wasm__) /* whose board_print is a function of bare.mjs */

extern unsigned char data_begin[], data_end[], data_image[], bss_begin[], bss_end[], stack_top[]; /* board.ld */
#define STACK_LOW bss_end

/* Asks the debugger, which QEMU is, for a service. */
static void call_debugger(uintptr_t operation, const void *arguments) {
#if defined(__arm__)
    register uintptr_t a0 __asm__("r0") = operation;
    register const void *a1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(a0) : "r"(a1) : "memory");
#else
    register uintptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;
    __asm__ volatile(".balign 16\n.option push\n.option norvc\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
#endif
}

void board_print(const char *text) {
    enum { WRITE0 = 4 };
    call_debugger(WRITE0, text);
}

#endif

/* compilers call these four */
void *memcpy(void *dst, const void *src, size_t n) {
    volatile unsigned char *d = (unsigned char *)dst;
    const unsigned char *s = (const unsigned char *)src;
    while (n--) *d++ = *s++;
    return dst;
}

void *memmove(void *dst, const void *src, size_t n) {
    volatile unsigned char *d = (unsigned char *)dst;
    const unsigned char *s = (const unsigned char *)src;
    if ((uintptr_t)dst <= (uintptr_t)src) return memcpy(dst, src, n);
    while (n--) d[n] = s[n];
    return dst;
}

void *memset(void *dst, int value, size_t n) {
    volatile unsigned char *d = (unsigned char *)dst;
    while (n--) *d++ = (unsigned char)value;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n) {
    const volatile unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    for (; n; n--, x++, y++) {
        if (*x != *y) return *x < *y ? -1 : 1;
    }
    return 0;
}

void board_read_flash(void *dst, const void *flash, size_t bytes) {
    memcpy(dst, flash, bytes);
}

#if !defined(__wasm__)

static void stop(int status) {
    enum { EXIT_EXTENDED = 0x20, REASON_EXIT = 0x20026 };
    const uintptr_t arguments[2] = {REASON_EXIT, (uintptr_t)status};
    call_debugger(EXIT_EXTENDED, arguments);
    for (;;) {}
}

static void fault(void) {
    board_print("processor fault\n");
    stop(3);
}

static void start(void) {
    memcpy(data_begin, data_image, (size_t)(data_end - data_begin));
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    stop(main());
}

#if defined(__arm__)
typedef void handler(void);
/* the first stack pointer, then where the processor goes after reset, non-maskable interrupt and faults */
__attribute__((section(".start"), used)) static const struct {
    unsigned char *stack;
    handler *handlers[6];
} vectors = {stack_top, {start, fault, fault, fault, fault, fault}};
#else
__attribute__((section(".start"), naked, used)) void reset(void);
void reset(void) {
    __asm__ volatile("la sp, stack_top\nla t0, %1\ncsrw mtvec, t0\nj %0" : : "i"(start), "i"(fault));
}

/* the functions of the runtime library that the manual lists for RV32IM */
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);

uint64_t __umoddi3(uint64_t a, uint64_t b) {
    return a - __udivdi3(a, b) * b;
}

uint64_t __udivdi3(uint64_t a, uint64_t b) {
    uint64_t quotient = 0, rest = 0;
    int i;
    for (i = 63; i >= 0; i--) {
        const int carry = (int)(rest >> 63);
        rest = rest << 1 | (a >> i & 1);
        if (carry || rest >= b) {
            rest -= b;
            quotient |= (uint64_t)1 << i;
        }
    }
    return quotient;
}
#endif
#endif

#else /* a desk */

#include <stdio.h>
#include <string.h>

void board_print(const char *text) {
    fputs(text, stdout);
}

void board_read_flash(void *dst, const void *flash, size_t bytes) {
    memcpy(dst, flash, bytes);
}

#endif

#if defined(STACK_LOW)
enum { UNUSED = 0xa5, OWN_FRAME = 32 };
static uintptr_t painted_end;

__attribute__((noinline)) void board_paint(void) {
    volatile unsigned char *p = STACK_LOW;
    painted_end = (uintptr_t)__builtin_frame_address(0) - OWN_FRAME;
    while ((uintptr_t)p < painted_end) *p++ = UNUSED;
}

size_t board_stack_used(void) {
    const volatile unsigned char *p = STACK_LOW;
    if (*p != UNUSED) return SIZE_MAX; /* it reached the data */
    while ((uintptr_t)p < painted_end && *p == UNUSED) p++;
    return (size_t)(painted_end + OWN_FRAME - (uintptr_t)p);
}
#else
void board_paint(void) {
}

size_t board_stack_used(void) {
    return 0;
}
#endif
