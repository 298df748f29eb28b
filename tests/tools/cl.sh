#!/bin/sh
# cl.sh: runs Microsoft's cl with Unix-style options, as far as program.sh uses them: CC="sh tests/tools/cl.sh".
out= previous= only= set=
for arg in "$@"; do
    case $previous:$arg in
    -o:*) out=$arg ;;
    *:-o | *:-pthread | *:-D_FILE_OFFSET_BITS=64) ;;
    *:-c) only=-c ;;
    *) set="$set $arg" ;;
    esac
    previous=$arg
done
if [ "$only" ]; then
    cl -nologo -c "-Fo$out" $set
else
    mkdir -p "$out.d" && cl -nologo "-Fo$out.d/" "-Fe$out" $set
fi
