# rooms.awk: reads safetensors.h and prints "pass WHAT", "fail WHAT" and "info WHAT"; see rooms.sh.
function fail(what) { print "fail " what }
function word_at(text, start,    i) { # the identifier that begins there
    for (i = start; i <= length(text) && substr(text, i, 1) ~ /[A-Za-z0-9_]/; i++) ;
    return substr(text, start, i - start)
}
# the line without its comments, strings and character constants; in_comment lives across lines
function code_of(line,    text, i, c, two, quote) {
    text = ""
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++ }
        } else if (quote != "") {
            if (c == "\\") i++
            else if (c == quote) { quote = ""; text = text c }
        } else if (two == "/*") { in_comment = 1; i++; text = text " "
        } else if (c == "\"" || c == "'") { quote = c; text = text c
        } else text = text c
    }
    return text
}
function close_banner() {
    if (!in_banner) return
    in_banner = 0
    if (sentence == "") fail("line " banner_line ": room " room " has no sentence of purpose")
    if (room >= 6 && !has_uses) fail("line " banner_line ": room " room " has no `uses:` line")
    print "pass banner of room " room
}
function end_function(    lines, limit) {
    lines = NR - function_line + 1
    limit = index(" " long_allowed " ", " " function_name " ") ? 100 : 70
    if (lines > limit) fail("line " function_line ": " function_name " has " lines " lines, over " limit)
    else print "pass length of " function_name
    if (lines > longest) { longest = lines; longest_name = function_name }
    function_name = ""
}
function end_statement(    name) { # of the outermost level, in `statement`; what ended it, in `ender`
    if (statement ~ /\(/ && statement !~ /^(typedef|extern|#)/ && statement !~ /=/) {
        name = statement
        sub(/[ ]*\(.*/, "", name)
        sub(/.*[^A-Za-z0-9_]/, "", name)
        if (ender == "{") {
            function_name = name
            function_line = statement_line
            if (split(code, opened, "{") == split(code, closed, "}")) end_function() # all on one line
        }
        else if (room >= 6 && name ~ /^sti_/) fail("line " statement_line ": " name " is declared before its definition")
    }
    statement = ""
}

BEGIN { room = 0; longest = 0 }

NR <= 3 { title = title " " $0 }

/^\/\* -+ [0-9]+ [a-zA-Z]/ {
    close_banner()
    number = $3 + 0
    if (number <= room) fail("line " NR ": room " number " comes after room " room)
    room = number; in_banner = 1; banner_line = NR; sentence = ""; has_uses = 0
}
in_banner && NR > banner_line {
    if ($0 ~ /uses:/) {
        has_uses = 1
        list = $0
        sub(/.*uses:/, "", list)
        count = split(list, parts, /[^0-9]+/)
        for (k = 1; k <= count; k++) {
            if (parts[k] == "") continue
            if (parts[k] + 0 >= room) fail("line " NR ": room " room " says it uses room " parts[k] ", which is not above it")
            says[room, parts[k] + 0] = NR
        }
    } else if (sentence == "" && $0 ~ /[a-z][a-z]/) sentence = $0
}

{
    code = code_of($0)
    if (in_banner && !in_comment) close_banner()
    all = all code "\n"
}

/^#[ ]*define[ ]+ST_VERSION_STRING[ ]/ { version = $0; sub(/^[^"]*"/, "", version); sub(/".*/, "", version) }
/^#[ ]*define[ ]+ST_VERSION_(MAJOR|MINOR|PATCH)[ ]/ {
    part = $0
    sub(/.*ST_VERSION_/, "", part)
    split(part, words, /[ \t]+/)
    numbers[words[1]] = words[2]
}

# which rooms a room really uses: a private name belongs to the room where it first stands
{
    rest = code
    while (match(rest, /(sti|STI)_[A-Za-z0-9_]+/)) {
        before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : " "
        name = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        if (before ~ /[A-Za-z0-9_]/) continue
        if (!(name in home)) home[name] = room
        else if (home[name] != room && home[name] >= 6) {
            used[room, home[name]] = 1
            if (!((room, home[name]) in says) && !((room, name) in told)) {
                told[room, name] = 1
                fail("line " NR ": room " room " uses " name " of room " home[name] ", which its banner does not name")
            }
        }
    }
}

# operating systems, outside the platform detection and the system room; room 2 sets feature macros before any include
room != 5 && room != 13 && !(room == 2 && code ~ /^#/) {
    if (code ~ /(^|[^A-Za-z0-9_])(_WIN32|_WIN64|__linux__|__APPLE__|__unix__|STI_OS_[A-Z]+|errno|GetLastError|HANDLE|DWORD|O_RDONLY|off_t|ssize_t)([^A-Za-z0-9_]|$)/ ||
        code ~ /(^|[^A-Za-z0-9_>.*])(open|close|read|pread|fstat|stat|fopen|fread|mmap|munmap|madvise|posix_fadvise|CreateFile[A-Z]?|ReadFile|MapViewOfFile)\(/)
        fail("line " NR ": names an operating system in room " room ": " $0)
}

# functions and declarations of the outermost level
code ~ /^}/ && function_name != "" { end_function() }
function_name == "" && code !~ /^[ ]*#/ && !continued {
    if (statement == "" && code ~ /^[A-Za-z_]/) statement_line = NR
    if (statement != "" || code ~ /^[A-Za-z_]/) {
        statement = statement " " code
        sub(/^ /, "", statement)
        if (match(code, /[;{]/)) { ender = substr(code, RSTART, 1); sub(/[;{].*/, "", statement); end_statement() }
    }
}
{ continued = (continued || code ~ /^[ ]*#/) && code ~ /\\$/ }

END {
    if (NR == 0) exit
    close_banner()
    if (room == 0) fail("no rooms at all")
    for (key in says) {
        split(key, pair, SUBSEP)
        if (pair[2] + 0 >= 6 && !(key in used)) fail("line " says[key] ": room " pair[1] " does not use room " pair[2])
    }
    if (version == "" || index(title, version) == 0) fail("the first three lines do not hold the version " version)
    else if (version != numbers["MAJOR"] "." numbers["MINOR"] "." numbers["PATCH"]) fail("ST_VERSION_STRING is not MAJOR.MINOR.PATCH")
    else print "pass version " version
    print "info " NR " lines; the longest function is " longest_name ", " longest " lines"
}
