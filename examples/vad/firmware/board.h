/* board.h: what the program wants from the board. Calls of a debugger (semihosting) stand for a serial line. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

enum { BOARD_RESULT = 4, BOARD_REPORT = 8 }; /* standard output, standard error */

void board_print(int stream, const char *text);
void board_exit(int status);

/* The timer of every Cortex-M counts down from 2^24 - 1. With -icount shift=0, QEMU takes 1 ns for an instruction and
 * 40 ns for a tick, which makes this a count of instructions. */
enum { BOARD_INSTRUCTIONS_PER_TICK = 40 };
void board_timer_start(void);
uint32_t board_timer_ticks(void);

size_t board_stack_used(void); /* bytes, at most, since reset */

#endif
