#!/bin/sh
# tool_help.sh [ST]: tests the help texts of all commands, and the manual page and the completions that st makes from them
# (see tools/blackbox.sh).

sources=$(cd "$(dirname "$0")/../examples/st" && pwd)
header=$(cd "$(dirname "$0")/.." && pwd)/safetensors.h
name=tool_help
. "$(dirname "$0")/tools/blackbox.sh"

fine --help
cp out usage
commands=$(sed -n 's/^  st \([a-z][a-z-]*\)  *[a-z].*/\1/p' out | grep -vx help)
for c in ls cat show diff check hash copy merge shard convert merge-lora pack repair meta put index; do
    has "the commands" usage "  st $c "
    is "the commands: $c" "$(echo "$commands" | grep -cx $c)" 1
done
fine help --man
cp out manual
for shell in bash zsh fish; do
    fine help --completion $shell
    cp out completion.$shell
done
for bad in "" csh --man; do
    st help --completion $bad
    code "completion for $bad" 2
    empty "completion for $bad" out
    has "completion for $bad" err "expected bash, zsh or fish"
done

# ---- every command and option ---------------------------------------------------------------------------------

: >options
for c in $commands; do
    fine $c --help
    cp out help
    is "$c --help fits 80 columns" "$(awk 'length($0) > 80' help)" ""
    has "$c --help" help "usage: st $c "
    has_line "the manual" manual "\\.SS $c"
    is "bash: $c" "$(sed -n "s/^        words='\(.*\)'/ \1 /p" completion.bash | grep -c " $c ")" 1
    has "zsh: commands" completion.zsh "        '$c:"
    has "fish: commands" completion.fish "-f -a $c -d"
    sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' help >mine
    cat mine >>options
    while read -r option; do
        dashes=$(echo "$option" | sed 's/-/\\-/g')
        has "manual: $c $option" manual "\\fB$dashes\\fR"
        sed -n "s/^    $c) options='\(.*\)' ;;/ \1 /p" completion.bash >of-bash
        has "bash: $c $option" of-bash " $option "
        sed -n "/^    $c)\$/,/;;/p" completion.zsh >of-zsh
        has "zsh: $c $option" of-zsh "'*$option["
        has "fish: $c $option" completion.fish "__fish_seen_subcommand_from $c' -l ${option#--} "
        st $c "$option"
        lacks "an option of the help is one of $c: $option" err "unknown option"
    done <mine
    st $c --no-such-option
    has "$c has no --no-such-option" err "unknown option --no-such-option"
done
# the options in the program are in a help text
for option in $(sed -n 's/.*{"\(--[a-z0-9-]*\)", .*/\1/p; s/^.*}, {"\(--[a-z0-9-]*\)", .*/\1/p' "$sources"/*.c | sort -u); do
    is "help for $option" "$(grep -cx -e "$option" options | sed 's/[1-9].*/some/')" some
done

# ---- the manual page ------------------------------------------------------------------------------------------

fine --version
version=$(cat out)
date=$(sed -n "s/^ \* $version  \([0-9-]*\).*/\1/p" "$header" | tail -n 1)
is "title" "$(sed -n 1p manual)" ".TH ST 1 $date \"st $version\""
for section in NAME SYNOPSIS DESCRIPTION COMMANDS; do has_line "sections" manual "\\.SH $section"; done
has_line "examples" manual 'st show model.safetensors embed.weight \\-1'
if command -v mandoc >/dev/null 2>&1; then
    is "mandoc -T lint" "$(mandoc -T lint -W warning manual 2>&1)" ""
    mandoc -T ascii manual | sed "s/.$(printf '\b')//g" >formatted
    has "the formatted manual" formatted "       st shard [OPTIONS] IN[=PREFIX]... DIR"
    has "the formatted manual" formatted 'head = dtype + "\0" + ",".join(map(str, shape)) + "\0"'
else
    skip "mandoc -T lint: no mandoc here"
fi
if command -v groff >/dev/null 2>&1; then
    is "groff -ww" "$(groff -man -Tutf8 -ww -z manual 2>&1)" ""
else
    skip "groff -ww: no groff here"
fi

# ---- completions ----------------------------------------------------------------------------------------------

for shell in bash zsh fish; do
    if command -v $shell >/dev/null 2>&1; then
        is "$shell -n" "$($shell -n completion.$shell 2>&1)" ""
    else
        skip "$shell -n: no $shell here"
    fi
done
# completes WANTED WORD...: what bash and fish offer for the last word
completes() {
    wanted=$1
    shift
    if command -v bash >/dev/null 2>&1; then
        got=$(bash -c '. ./completion.bash; COMP_WORDS=(st "$@") COMP_CWORD=$#; _st; echo "${COMPREPLY[*]}"' bash "$@")
        is "bash completes st $*" "$got" "$wanted"
    fi
    if command -v fish >/dev/null 2>&1; then
        got=$(fish --no-config -c "source completion.fish; complete -C 'st $*'" | sed 's/	.*//' | sort | tr '\n' ' ')
        is "fish completes st $*" "$got" "$(printf '%s\n' $wanted | sort | tr '\n' ' ')"
    fi
}
completes "--match" ls --m
completes "--sort" ls --so
completes "size" ls --sort s
completes "convert" conv
completes "check" help che
completes "F8_E4M3 F8_E4M3FNUZ" convert --dtype F8_E4
for shell in bash zsh fish; do lacks "$shell: a dtype that st convert cannot write" completion.$shell C64; done
finish
