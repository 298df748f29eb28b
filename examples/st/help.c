/* help.c: the manual page and the completions for shells, generated from the table of commands and their help texts.
 *
 * In a help text a line that starts with two blanks and -- describes an option: "  --name VALUE   description", with
 * more of the description on lines that start with more blanks. Other lines that start with two blanks are an example
 * or a table. All others are paragraphs. */
#include "st.h"
#include <string.h>

#define RELEASE_DATE "2026-11-27" /* of this version */

/* ---- help texts --------------------------------------------------------------------------------------------- */

typedef struct words {
    const char *text;
    size_t n;
} words;

static words next_line(const char **text) {
    words line;
    line.text = *text;
    line.n = strcspn(*text, "\n");
    *text += line.n + ((*text)[line.n] != 0);
    return line;
}

static size_t blanks_of(words line) {
    size_t n = 0;
    while (n < line.n && line.text[n] == ' ') n++;
    return n;
}

static words skip_bytes(words line, size_t n) {
    line.text += n;
    line.n -= n;
    return line;
}

static int is_option_line(words line) {
    return line.n > 4 && memcmp(line.text, "  --", 4) == 0;
}

typedef struct help_option {
    words name, value; /* "--sort"; what follows it, or nothing */
    char text[240];    /* the first part of the description */
} help_option;

/* Splits "  --name VALUE   description" and returns the description. */
static words split_option(words line, help_option *o) {
    size_t n;
    line = skip_bytes(line, 2);
    for (n = 0; n < line.n && line.text[n] != ' '; n++) continue;
    o->name.text = line.text;
    o->name.n = n;
    line = skip_bytes(line, n);
    if (line.n && (line.n < 2 || line.text[1] != ' ')) line = skip_bytes(line, 1);
    for (n = 0; n < line.n && !(line.text[n] == ' ' && (n + 1 == line.n || line.text[n + 1] == ' ')); n++) continue;
    o->value.text = line.text;
    o->value.n = n;
    line = skip_bytes(line, n);
    return skip_bytes(line, blanks_of(line));
}

static void add_text(help_option *o, words more) {
    const size_t used = strlen(o->text), left = sizeof o->text - used - 1;
    if (used && left) strcat(o->text, " ");
    if (more.n + 1 < left) strncat(o->text, more.text, more.n);
}

/* Finds the next option in *help and moves past it. Returns 0 if there is none. */
static int next_option_in(const char **help, help_option *o) {
    const char *ahead;
    words line;
    do {
        if (!**help) return 0;
        line = next_line(help);
    } while (!is_option_line(line));
    o->text[0] = 0;
    line = split_option(line, o);
    if (line.n) add_text(o, line);
    for (ahead = *help; *ahead; *help = ahead) {
        line = next_line(&ahead);
        if (blanks_of(line) <= 2) break;
        add_text(o, skip_bytes(line, blanks_of(line)));
    }
    o->text[strcspn(o->text, ".;:(")] = 0; /* what a line of a menu has space for */
    while (*o->text && o->text[strlen(o->text) - 1] == ' ') o->text[strlen(o->text) - 1] = 0;
    return 1;
}

typedef struct help_cursor {
    const tool_command *command;
    const char *rest; /* of the current part of the help */
    int part;
} help_cursor;

static help_cursor begin_options(const tool_command *command) {
    help_cursor cursor;
    cursor.command = command;
    cursor.part = 0;
    cursor.rest = help_part(command, 0);
    return cursor;
}

/* Finds the next option of a command. Returns 0 if there is none. */
static int next_option(help_cursor *cursor, help_option *o) {
    while (!next_option_in(&cursor->rest, o)) {
        if (++cursor->part == HELP_PARTS) return 0;
        cursor->rest = help_part(cursor->command, cursor->part);
    }
    return 1;
}

/* ---- the manual page (man(7)) ------------------------------------------------------------------------------- */

static void put_roff(words w) {
    size_t i;
    if (w.n && (*w.text == '.' || *w.text == '\'')) fputs("\\&", stdout);
    for (i = 0; i < w.n; i++) {
        switch (w.text[i]) {
        case '\\': fputs("\\e", stdout); break;
        case '-': fputs("\\-", stdout); break;
        case '\'': fputs("\\(aq", stdout); break;
        case '`': fputs("\\(ga", stdout); break;
        case '^': fputs("\\(ha", stdout); break;
        case '~': fputs("\\(ti", stdout); break;
        default: putc(w.text[i], stdout);
        }
    }
}

static void put_roff_line(words w) {
    put_roff(w);
    putc('\n', stdout);
}

static void put_roff_string(const char *text) {
    words w;
    w.text = text;
    w.n = strlen(text);
    put_roff_line(w);
}

typedef enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_TABLE, BLOCK_OPTION } block;

static block block_of(words line, block before) {
    if (line.n == 0) return BLOCK_NONE;
    if (is_option_line(line)) return BLOCK_OPTION;
    if (blanks_of(line) == 0) return BLOCK_TEXT;
    return before == BLOCK_OPTION ? BLOCK_OPTION : BLOCK_TABLE;
}

static void put_roff_option(words line) {
    help_option o;
    const words description = split_option(line, &o);
    fputs(".TP\n\\fB", stdout);
    put_roff(o.name);
    fputs("\\fR", stdout);
    if (o.value.n) fputs(" \\fI", stdout);
    put_roff(o.value);
    fputs(o.value.n ? "\\fR\n" : "\n", stdout);
    if (description.n) put_roff_line(description);
}

static void put_roff_help(const char *help) {
    block before = BLOCK_NONE;
    while (*help) {
        const words line = next_line(&help);
        const block now = block_of(line, before);
        if (before == BLOCK_TABLE && now != BLOCK_TABLE) fputs(".fi\n.RE\n", stdout);
        if (now == BLOCK_TABLE && before != BLOCK_TABLE) fputs(".PP\n.RS 4\n.nf\n", stdout);
        if (now == BLOCK_TEXT && before != BLOCK_TEXT) fputs(".PP\n", stdout);
        if (now == BLOCK_TABLE) {
            put_roff_line(skip_bytes(line, 2));
        } else if (is_option_line(line)) {
            put_roff_option(line);
        } else if (now != BLOCK_NONE) {
            put_roff_line(skip_bytes(line, blanks_of(line)));
        }
        before = now;
    }
    if (before == BLOCK_TABLE) fputs(".fi\n.RE\n", stdout);
}

void put_manual(const tool_command *commands, size_t count, const char *about) {
    const unsigned version = st_version();
    size_t i;
    int part;
    printf(".TH ST 1 " RELEASE_DATE " \"st %u.%u.%u\"\n", version / 10000, version / 100 % 100, version % 100);
    fputs(".SH NAME\nst \\- inspect, check and write safetensors files\n", stdout);
    fputs(".SH SYNOPSIS\n.B st\n.I COMMAND\n[OPTIONS] ARGUMENTS\n.SH DESCRIPTION\n", stdout);
    fputs("st reads and writes models in the safetensors format.\n", stdout);
    put_roff_help(about);
    fputs(".SH COMMANDS\n", stdout);
    for (i = 0; i < count; i++) {
        printf(".SS %s\n.B st %s\n", commands[i].name, commands[i].name);
        put_roff_string(commands[i].arguments);
        for (part = 0; part < HELP_PARTS; part++) put_roff_help(help_part(&commands[i], part));
    }
}

/* ---- completions -------------------------------------------------------------------------------------------- */

/* Writes the values that an option can have, with blanks between them. Returns 0 if they are not a list. */
static int put_values(words value) {
    size_t i;
    if (value.n == 5 && memcmp(value.text, "DTYPE", 5) == 0) {
        const char *before = "";
        for (i = 1; *st_dtype_name((st_dtype)i); i++) {
            if (st_convert((st_dtype)i, NULL, ST_DTYPE_F32, NULL, 0) != ST_OK)
                continue; /* st convert cannot write it */
            printf("%s%s", before, st_dtype_name((st_dtype)i));
            before = " ";
        }
        return 1;
    }
    if (!value.n || !memchr(value.text, '|', value.n)) return 0;
    for (i = 0; i < value.n; i++) putc(value.text[i] == '|' ? ' ' : value.text[i], stdout);
    return 1;
}

static int has_values(words value) {
    return value.n && (memchr(value.text, '|', value.n) || (value.n == 5 && memcmp(value.text, "DTYPE", 5) == 0));
}

static void put_names(const tool_command *commands, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) printf("%s ", commands[i].name);
    fputs("help", stdout);
}

static void put_bash(const tool_command *commands, size_t count) {
    help_cursor cursor;
    help_option o;
    size_t i;
    fputs("# bash completion of st; generated by st help --completion bash\n"
          "_st() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options= words=\n"
          "    COMPREPLY=()\n"
          "    case ${COMP_WORDS[1]} in\n",
          stdout);
    for (i = 0; i < count; i++) {
        printf("    %s) options='", commands[i].name);
        for (cursor = begin_options(&commands[i]); next_option(&cursor, &o);)
            printf("%.*s ", (int)o.name.n, o.name.text);
        fputs("--help' ;;\n", stdout);
    }
    fputs("    esac\n    case ${COMP_WORDS[1]}$before in\n", stdout);
    for (i = 0; i < count; i++) {
        for (cursor = begin_options(&commands[i]); next_option(&cursor, &o);) {
            if (!has_values(o.value)) continue;
            printf("    %s%.*s) words='", commands[i].name, (int)o.name.n, o.name.text);
            put_values(o.value);
            fputs("' ;;\n", stdout);
        }
    }
    fputs("    help--completion) words='bash zsh fish' ;;\n"
          "    esac\n"
          "    if [ \"$COMP_CWORD\" = 1 ] || { [ \"$COMP_CWORD\" = 2 ] && [ \"$before\" = help ]; }; then\n"
          "        words='",
          stdout);
    put_names(commands, count);
    fputs("'\n"
          "    fi\n"
          "    case $word in -*) words=$options ;; esac\n"
          "    if [ -n \"$words\" ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); fi\n"
          "}\n"
          "complete -o default -F _st st\n",
          stdout);
}

/* Writes text inside single quotes of a shell, with a backslash before each of the characters `special`. */
static void put_quoted(const char *text, const char *special) {
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
            continue;
        }
        if (strchr(special, *text)) putc('\\', stdout);
        putc(*text, stdout);
    }
}

static int has_word(words value, const char *word) {
    const size_t n = strlen(word);
    size_t i;
    for (i = 0; i + n <= value.n; i++) {
        if (memcmp(value.text + i, word, n) == 0) return 1;
    }
    return 0;
}

static void put_zsh_option(const help_option *o) {
    printf("            '*%.*s[", (int)o->name.n, o->name.text);
    put_quoted(o->text, "[]:\\");
    putc(']', stdout);
    if (o->value.n) {
        fputs(":value:", stdout);
        if (has_values(o->value)) {
            putc('(', stdout);
            put_values(o->value);
            putc(')', stdout);
        } else {
            fputs(has_word(o->value, "PATH") || has_word(o->value, "POINTER") ? "_files" : " ", stdout);
        }
    }
    fputs("' \\\n", stdout);
}

static void put_zsh(const tool_command *commands, size_t count) {
    help_cursor cursor;
    help_option o;
    size_t i;
    fputs("#compdef st\n"
          "# zsh completion of st; generated by st help --completion zsh\n"
          "_st() {\n"
          "    local -a commands\n"
          "    commands=(\n",
          stdout);
    for (i = 0; i < count; i++) {
        printf("        '%s:", commands[i].name);
        put_quoted(commands[i].summary, ":\\");
        fputs("'\n", stdout);
    }
    fputs("        'help:show how to use a command'\n"
          "    )\n"
          "    if (( CURRENT == 2 )) || [[ $CURRENT = 3 && $words[2] = help ]]; then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    local command=$words[2]\n"
          "    shift words\n"
          "    (( CURRENT-- ))\n"
          "    case $command in\n",
          stdout);
    for (i = 0; i < count; i++) {
        printf("    %s)\n        _arguments \\\n", commands[i].name);
        for (cursor = begin_options(&commands[i]); next_option(&cursor, &o);) put_zsh_option(&o);
        fputs("            '--help[show how to use the command]' '*:file:_files'\n        ;;\n", stdout);
    }
    fputs("    esac\n}\n_st \"$@\"\n", stdout);
}

static void put_fish(const tool_command *commands, size_t count) {
    help_cursor cursor;
    help_option o;
    size_t i;
    fputs("# fish completion of st; generated by st help --completion fish\n", stdout);
    for (i = 0; i < count; i++) {
        printf("complete -c st -n __fish_use_subcommand -f -a %s -d '", commands[i].name);
        put_quoted(commands[i].summary, "\\");
        fputs("'\n", stdout);
    }
    fputs("complete -c st -n __fish_use_subcommand -f -a help -d 'show how to use a command'\n"
          "complete -c st -n '__fish_seen_subcommand_from help' -f -a '",
          stdout);
    put_names(commands, count);
    fputs("'\n", stdout);
    for (i = 0; i < count; i++) {
        for (cursor = begin_options(&commands[i]); next_option(&cursor, &o);) {
            const int is_list = has_values(o.value);
            printf("complete -c st -n '__fish_seen_subcommand_from %s' -l %.*s", commands[i].name, (int)o.name.n - 2,
                   o.name.text + 2);
            if (o.value.n) fputs(is_list ? " -x -a '" : " -r", stdout);
            if (is_list) put_values(o.value);
            fputs(is_list ? "' -d '" : " -d '", stdout);
            put_quoted(o.text, "\\");
            fputs("'\n", stdout);
        }
    }
}

int put_completion(const char *shell, const tool_command *commands, size_t count) {
    if (strcmp(shell, "bash") == 0) {
        put_bash(commands, count);
    } else if (strcmp(shell, "zsh") == 0) {
        put_zsh(commands, count);
    } else if (strcmp(shell, "fish") == 0) {
        put_fish(commands, count);
    } else {
        return 0;
    }
    return 1;
}
