/* board.c: start, output and timer of a Cortex-M4 or M7. */
#include "board.h"
#include <string.h>

int main(void);
void reset(void);

extern unsigned char data_begin[], data_end[], data_image[], bss_begin[], bss_end[], stack_top[]; /* board.ld */

enum { UNUSED = 0xa5 };

static volatile uint32_t *word_at(uintptr_t address) {
    return (volatile uint32_t *)address;
}

/* Asks the debugger for a service. */
static uint32_t call_debugger(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(int stream, const char *text) {
    enum { OPEN = 1, WRITE = 5 };
    static uint32_t handles[2]; /* 0: not open */
    uint32_t *handle = &handles[stream == BOARD_REPORT];
    const uintptr_t console[3] = {(uintptr_t) ":tt", (uintptr_t)stream, 3};
    if (!*handle) *handle = call_debugger(OPEN, console);
    const uintptr_t line[3] = {*handle, (uintptr_t)text, strlen(text)};
    (void)call_debugger(WRITE, line);
}

void board_exit(int status) {
    enum { EXIT_EXTENDED = 0x20, REASON_EXIT = 0x20026 };
    const uint32_t arguments[2] = {REASON_EXIT, (uint32_t)status};
    (void)call_debugger(EXIT_EXTENDED, arguments);
    for (;;) {}
}

void board_timer_start(void) {
    *word_at(0xe000e014) = 0xffffff;
    *word_at(0xe000e018) = 0;
    *word_at(0xe000e010) = 5; /* on, at the speed of the processor, without interrupts */
}

uint32_t board_timer_ticks(void) {
    return 0xffffff - *word_at(0xe000e018);
}

size_t board_stack_used(void) {
    const unsigned char *lowest = bss_end;
    while (lowest < stack_top && *lowest == UNUSED) lowest++;
    return (size_t)(stack_top - lowest);
}

static void fault(void) {
    board_print(BOARD_REPORT, "processor fault\n");
    board_exit(3);
}

/* Paints all memory below its own frame, byte by byte, as memset would overwrite the stack that it runs on. */
void reset(void) {
    volatile unsigned char *p = bss_begin;
    const uintptr_t mine = (uintptr_t)__builtin_frame_address(0) - 64;
    *word_at(0xe000ed88) |= 0xfu << 20; /* floating-point unit on */
    __asm__ volatile("dsb\n\tisb");
    while ((uintptr_t)p < mine) *p++ = UNUSED;
    memcpy(data_begin, data_image, (size_t)(data_end - data_begin));
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    board_exit(main());
}

typedef void handler(void);
/* the first stack pointer, then where the processor goes after reset, non-maskable interrupt and faults */
__attribute__((section(".vectors"), used)) static const struct {
    unsigned char *stack;
    handler *handlers[6];
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault}};
