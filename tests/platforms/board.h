/* board.h: what chip.c needs of a board. On a desk, the C library stands for the board. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>

#ifdef __AVR__
#include <avr/pgmspace.h>
#define IN_FLASH PROGMEM /* not in the address space of data: read with board_read_flash */
#define FLASH_IS_DATA 0
#else
#define IN_FLASH
#define FLASH_IS_DATA 1
#endif

/* as in <string.h>, which not every board has */
void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

void board_print(const char *text);
void board_read_flash(void *dst, const void *flash, size_t bytes);

/* Fills the unused stack with a pattern. board_stack_used returns how much was overwritten since: bytes below the frame
 * of board_paint's caller, or SIZE_MAX if they did not suffice. On a desk it returns 0. */
void board_paint(void);
size_t board_stack_used(void);

#endif
