/* msvc_start.c: what Microsoft's vcruntime would bring to a program: its entry point, and the symbols that the compiler
 * refers to. */
#include <corecrt_startup.h>
#include <stdlib.h>

int *__p___argc(void);
char ***__p___argv(void);
int main(int argc, char **argv);
void mainCRTStartup(void);

int _fltused = 1;

int atexit(void (*function)(void)) {
    return _crt_atexit(function);
}

void mainCRTStartup(void) {
    _configure_narrow_argv(_crt_argv_unexpanded_arguments);
    _initialize_narrow_environment();
    exit(main(*__p___argc(), *__p___argv()));
}
