#!/bin/sh
# remote.sh: tests examples/remote against nginx, against a server that misbehaves, and against a hub, all on loopback.
check=example-remote
. tests/tools/lib.sh
PATH=$PATH:/usr/sbin
have curl-config python3 nginx openssl || finish
for name in http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY HF_TOKEN REMOTE_TOKEN HF_ENDPOINT HF_HOME \
    HF_HUB_CACHE HUGGINGFACE_HUB_CACHE XDG_CACHE_HOME; do unset $name; done
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
site=$PWD/$out/site
sources="examples/remote/*.c examples/hub/hub.c examples/hub/sha1.c examples/common/*.c examples/st/sha256.c"
rm -rf "$out"
mkdir -p "$out"
try "make build/examples/remote" ${MAKE:-make} build/examples/remote EXAMPLE_CFLAGS="-std=gnu99 -O1 -g $WARN" || finish
try "make build/examples/hub" ${MAKE:-make} build/examples/hub EXAMPLE_CFLAGS="-std=gnu99 -O0 $WARN"
remote=build/examples/remote hostile=$remote
if have clang-14; then
    try "warnings of clang" clang-14 -std=gnu99 -fsyntax-only $WARN -I. examples/remote/*.c examples/hub/*.c
    clang-14 -c -O0 -I. examples/common/lib.c -o "$out/lib.o" # the library has sanitizer runs of its own
    try "build with sanitizers" clang-14 -std=gnu99 -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. \
        $(ls $sources | grep -v lib.c) "$out/lib.o" -lcurl -lz -pthread -o "$out/hostile" && hostile=$out/hostile
fi

# ---- servers
python3 tests/examples/remote_fixtures.py "$site"
expected=$site/expected
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$out/key.pem" -out "$out/cert.pem" -days 2 \
    -subj /CN=test -addext subjectAltName=IP:127.0.0.1 2>/dev/null
python3 tests/examples/remote_server.py "$site" "$out/cert.pem" "$out/key.pem" 2>"$out/server.log" &
server=$!
nginx_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$out/nginx.conf" <<END
$([ "$(id -u)" != 0 ] || echo 'user root;')
worker_processes 1; daemon off; pid $PWD/$out/nginx.pid; error_log $PWD/$out/nginx.log;
events {}
http {
    log_format bytes '\$request_method \$status \$body_bytes_sent \$connection';
    access_log $PWD/$out/access.log bytes;
    sendfile on;
    client_body_temp_path $PWD/$out/t1; proxy_temp_path $PWD/$out/t2; fastcgi_temp_path $PWD/$out/t3;
    uwsgi_temp_path $PWD/$out/t4; scgi_temp_path $PWD/$out/t5;
    server { listen 127.0.0.1:$nginx_port; root $site/files; }
}
END
nginx -e "$PWD/$out/nginx.log" -c "$PWD/$out/nginx.conf" &
nginx=$!
trap 'kill $server $nginx 2>/dev/null' EXIT
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "$site/ports" ] && [ -s "$out/nginx.pid" ] && break
    sleep 0.3
done
read -r port other tls <"$site/ports"
N=http://127.0.0.1:$nginx_port S=http://127.0.0.1:$port

gives() { # EXPECTED ARGUMENTS...: the program succeeds and prints the file
    file=$expected/$1
    shift
    "$remote" "$@" >"$out/got" 2>"$out/said"
    status=$?
    sed 's/ in [0-9.]* s, [0-9]* MB.s//' "$out/got" >"$out/values"
    if [ $status = 0 ] && cmp -s "$file" "$out/values"; then pass; else
        fail "remote $*: exit status $status"
        head -c 300 "$out/said"
        diff "$file" "$out/values" | head -n 5 | cut -c 1-200
    fi
}
refuses() { # WORDS ARGUMENTS...: fails with status 1 and the words; what it prints is right as far as it goes
    words=$1
    shift
    timeout 20 "$hostile" "$@" >"$out/got" 2>"$out/said"
    status=$?
    if [ $status = 1 ] && grep -qF -- "$words" "$out/said" && [ "$(wc -l <"$out/said")" = 1 ] &&
        head -c "$(wc -c <"$out/got")" "$expected/cat-big" | cmp -s - "$out/got"; then pass; else
        fail "remote $*: exit status $status, expected: $words"
        head -n 5 "$out/said"
    fi
}
misuse() { # WORDS ARGUMENTS...
    words=$1
    shift
    "$remote" "$@" >"$out/got" 2>"$out/said"
    status=$?
    if [ $status = 2 ] && grep -qF -- "$words" "$out/said" && grep -qE "(remote|remote fetch|hub) --help" "$out/said"; then pass; else
        fail "remote $*: exit status $status, expected: $words"
        head -n 3 "$out/said"
    fi
}
is() { # LABEL VALUE TEST...: as test(1)
    label=$1
    shift
    if test "$@"; then pass; else fail "$label: $*"; fi
}

# ---- a good server
gives ls-m ls $N/m.safetensors
gives show-w show $N/m.safetensors w
gives show-slice show $N/m.safetensors w --slice 1,0:2,1::2
gives show-byte show $N/m.safetensors big --slice 2,99999
gives show-i show $N/m.safetensors i
gives show-u show $N/m.safetensors u
gives show-evil show $N/m.safetensors "$(printf 'evil\033[31m')"
gives cat-big cat $N/m.safetensors big
gives cat-big cat "$N/m.safetensors?download=true#x" big --connections 8
gives load-m load $N/m.safetensors
gives load-sharded load $N/sharded/model.safetensors.index.json
gives load-m load $S/chunks/m.safetensors
sleep 0.2
: >"$out/access.log"
gives show-end show $N/huge.safetensors end
sleep 0.2
read_bytes=$(awk '{ n += $3 } END { print n + 0 }' "$out/access.log")
echo "    4 GiB model: a tensor was read with $(wc -l <"$out/access.log") requests, $read_bytes bytes"
is "bytes read of a model of 4 GiB" "$read_bytes" -gt 100
is "bytes read of a model of 4 GiB" "$read_bytes" -lt 200000
: >"$out/access.log"
gives cat-big cat $N/m.safetensors big --connections 2
sleep 0.2
is "connections are kept" "$(cut -d' ' -f4 "$out/access.log" | sort -u | wc -l)" -le 2
is "big reads need few requests" "$(wc -l <"$out/access.log")" -le 6

: >"$out/access.log"
gives load-five load $N/five.safetensors
sleep 0.2
is "blocks grow" "$(wc -l <"$out/access.log")" -le 15
is "several connections read ahead" "$(cut -d' ' -f4 "$out/access.log" | sort -u | wc -l)" -ge 2
is "nothing is read twice" "$(awk '{ n += $3 } END { print n }' "$out/access.log")" -lt 5300000
gives load-sharded load "$S/query/sharded/model.safetensors.index.json?key=1&x=/"

# a real model, against the package safetensors
python=build/venv/bin/python model=build/models/all-MiniLM-L6-v2/model.safetensors
if [ ! -e $model ]; then
    have "the model all-MiniLM-L6-v2"
elif $python -c 'import safetensors, numpy' 2>/dev/null; then
    ln -sf "$PWD/$model" "$site/files/real.safetensors"
    $python - $model "$expected" <<'END'
import sys, zlib
from safetensors import safe_open
with safe_open(sys.argv[1], "np") as f:
    bias = f.get_tensor("encoder.layer.5.output.dense.bias")[::16]
    count = len(f.keys())
data = open(sys.argv[1], "rb").read()
data = data[8 + int.from_bytes(data[:8], "little"):]
with open(sys.argv[2] + "/load-real", "w") as out:
    print("%d tensors, %d bytes, CRC-32 %08x" % (count, len(data), zlib.crc32(data)), file=out)
with open(sys.argv[2] + "/show-real", "w") as out:
    print("encoder.layer.5.output.dense.bias F32 [384]", " ".join("%.9g" % x for x in bias), sep="\n", file=out)
END
    gives load-real load $N/real.safetensors
    gives show-real show $N/real.safetensors encoder.layer.5.output.dense.bias --slice ::16
else
    have "Python with safetensors and numpy"
fi

# ---- servers that recover
gives cat-big cat $S/cut/m.safetensors big --retries 20
gives load-m load $S/busy/m.safetensors
gives load-m load $S/signed/m.safetensors --connections 1
is "redirects that expired" "$(grep -c "^0 GET /signed" "$site/requests")" -ge 2

# ---- servers that misbehave: a clear error, and no wrong byte
refuses "ignores requests for a range" cat $S/no_range/m.safetensors big
refuses "connection cut or timed out at byte 0, after 1 retries" cat $S/cut_always/m.safetensors big --retries 1
refuses "answered 503: no room" ls $S/busy_always/m.safetensors --retries 1
refuses "asks to wait for 9999 seconds" ls $S/wait/m.safetensors
refuses "the file changed while it was read: its ETag was" cat $S/changes/m.safetensors big
refuses "the file changed while it was read: its ETag is not" cat $S/refuses_changed/m.safetensors big
refuses "it was modified Mon, 01 Jan 2024 00:00:01 GMT, then" cat $S/modified/m.safetensors big
refuses "the file changed, or the server lies" cat $S/other_total/m.safetensors big
refuses "lies about a length" cat $S/short_length/m.safetensors big
refuses "lies about a length" cat $S/long_length/m.safetensors big
refuses "more bytes than it announced" cat $S/too_much/m.safetensors big
refuses "connection cut or timed out" cat $S/too_little/m.safetensors big --retries 0
refuses "more bytes than it announced" cat $S/endless/m.safetensors big
refuses "another range than the one asked for" cat $S/other_range/m.safetensors big
refuses "another range than the one asked for" cat $S/late_range/m.safetensors big
refuses "another range than the one asked for" cat $S/less_range/m.safetensors big
refuses "missing or invalid Content-Range: ''" cat $S/no_content_range/m.safetensors big
refuses "missing or invalid Content-Range: 'bytes 0-" cat $S/huge_total/m.safetensors big
refuses "sent several parts" cat $S/multipart/m.safetensors big
refuses "compressed its answer (gzip)" cat $S/gzip/m.safetensors big
refuses "over 255 bytes of ETag" cat $S/long_field/m.safetensors big
refuses "connection cut or timed out" cat $S/stall/m.safetensors big --timeout 1 --retries 1
refuses "connection cut or timed out" cat $S/trickle/m.safetensors big --timeout 1 --retries 0
refuses "m.safetensors: " cat $S/endless_header/m.safetensors big --retries 0
refuses "m.safetensors: " cat $S/garbage/m.safetensors big --retries 1
refuses "over 10 redirects" ls $S/loop/m.safetensors
refuses "not an allowed http or https URL" ls $S/to_file/m.safetensors
refuses "not an allowed http or https URL" ls $S/to_user/m.safetensors
refuses "answered 403: expired" cat $S/signed_badly/m.safetensors big
refuses 'answered 404: {"error":"no \u001b[31mfile"}' ls $S/good/none.safetensors
refuses "truncated" ls $S/good/cut.safetensors
refuses "file is empty" ls $S/good/empty.safetensors
refuses "lost.safetensors" ls $S/good/sharded/lost.safetensors.index.json
refuses "begins or ends with a dot" ls $S/good/sharded/escape.safetensors.index.json
refuses "no tensor of this name" cat $S/good/m.safetensors nothing
refuses "range stops at 4" show $S/good/m.safetensors w --slice 3
refuses "over 1,000 values" show $S/good/m.safetensors big
refuses "127.0.0.1:1/m" ls http://127.0.0.1:1/m.safetensors

# ---- the token, and TLS
SSL_CERT_FILE=$out/cert.pem
export SSL_CERT_FILE
refuses "answered 401: who are you (no token was sent)" ls $S/auth/m.safetensors
REMOTE_TOKEN=secret gives ls-m ls $S/auth/m.safetensors
HF_TOKEN=secret gives ls-m ls $S/auth/m.safetensors
HF_TOKEN=$(printf 'secret\r\nRange: bytes=9-9') gives ls-m ls $S/auth/m.safetensors
HF_TOKEN=secret gives ls-m ls https://127.0.0.1:$tls/auth/m.safetensors
REMOTE_TOKEN=wrong refuses "answered 401: who are you" ls $S/auth/m.safetensors
REMOTE_TOKEN=leaked gives load-m load $S/to_other/m.safetensors
is "the token goes to the host that was asked" "$(grep -c "^0 .*to_other.*Bearer leaked" "$site/requests")" -ge 1
is "the token goes to no other host" "$(grep -c "^1 .*leaked" "$site/requests")" = 0
# a proxy would get the token unencrypted; nobody listens at this one
http_proxy=http://127.0.0.1:1 HF_TOKEN=secret gives ls-m ls $S/auth/m.safetensors
# a host of the network gets none unencrypted, also if its name begins as that of this machine does
for host in 127.0.0.1.example localhost.example example; do
    http_proxy=$S REMOTE_TOKEN=leaked refuses "answered 401: who are you (no token was sent)" ls http://$host/auth/m.safetensors
done
is "no token without encryption" "$(grep -c "http://.*leaked" "$site/requests")" = 0
is "requests without encryption" "$(grep -c "^0 GET http://.*example/auth" "$site/requests")" -ge 3
refuses "from https to http" ls https://127.0.0.1:$tls/to_plain/m.safetensors
SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt refuses "127.0.0.1:$tls" ls https://127.0.0.1:$tls/good/m.safetensors
unset SSL_CERT_FILE

# ---- the hub
HF_ENDPOINT=$S/ HF_HUB_CACHE=$PWD/$out/cache
export HF_ENDPOINT HF_HUB_CACHE
blob=$(openssl dgst -sha256 -r "$site/hub/owner/name/model.safetensors" | cut -d' ' -f1)
commit=0123456789abcdef0123456789abcdef01234567
repo=$HF_HUB_CACHE/models--owner--name
links() { (cd "$1" && find . \( -type f -o -type l \) -printf '%P %l %s\n' | sort); }
"$remote" info owner/name >"$out/got" 2>&1
is "info prints the commit" "$(grep -c "^commit $commit$" "$out/got")" = 1
is "info prints parameters" "$(grep -c '^F32 12$' "$out/got")" = 1
size=$(wc -c <"$site/hub/owner/name/model.safetensors")
is "info prints SHA-256 and size" "$(grep -c "$size $blob model.safetensors" "$out/got")" = 1
is "info writes nothing" ! -e "$HF_HUB_CACHE"
# three at once, after a download that was cut and one that left wrong bytes
mkdir -p "$repo/blobs" "$HF_HUB_CACHE/models--owner--cut/blobs"
head -c 200000 "$site/hub/owner/name/model.safetensors" >"$repo/blobs/$blob.incomplete"
for k in 1 2 3; do "$hostile" fetch owner/name >"$out/fetch$k" 2>&1 & fetches="$fetches $!"; done
for k in $fetches; do if wait $k; then pass; else fail "one of three fetches: $(cat "$out"/fetch?)"; fi; done
is "the blob was requested once" "$(grep -c "^1 GET /hub/owner/name/model" "$site/requests")" = 1
is "the download was resumed" "$(grep -c "^1 GET /hub/owner/name/model.safetensors bytes=200000-" "$site/requests")" = 1
is "the link is relative" "$(readlink "$repo/snapshots/$commit/1_Pooling/config.json" | cut -c 1-15)" = ../../../blobs/
is "refs" "$(od -c "$repo/refs/main" | head -n 3)" = "$(printf %s $commit | od -c | head -n 3)"
is "nothing unfinished is left" "$(find "$HF_HUB_CACHE" -name '*.incomplete' -o -name '*.tmp' | wc -l)" = 0
try "the model" cmp "$site/hub/owner/name/model.safetensors" "$repo/snapshots/$commit/model.safetensors"
requests=$(grep -c "GET /hub/owner/name" "$site/requests")
try "fetch what is there" "$hostile" fetch owner/name@refs/pr/1 model.safetensors --include '*.json'
is "nothing was downloaded again" "$(grep -c "GET /hub/owner/name" "$site/requests")" = "$requests"
is "refs/pr/1" "$(cat "$repo/refs/refs/pr/1")" = $commit
try "fetch a commit" build/examples/hub fetch models/owner/name@$commit config.json
head -c 5000 /dev/zero >"$HF_HUB_CACHE/models--owner--cut/blobs/$blob.incomplete"
try "fetch with wrong bytes and a cut" "$hostile" fetch owner/cut
try "fetch with wrong bytes and a cut" cmp "$HF_HUB_CACHE/models--owner--cut/blobs/$blob" "$repo/blobs/$blob"
mkdir -p "$HF_HUB_CACHE/models--owner--no-range/blobs"
head -c 5000 "$repo/blobs/$blob" >"$HF_HUB_CACHE/models--owner--no-range/blobs/$blob.incomplete"
try "fetch without ranges" "$hostile" fetch owner/no-range
is "a file without ranges is sent once" "$(grep -c "^1 GET /hub/owner/no-range" "$site/requests")" = 1
try "fetch without ranges" cmp "$HF_HUB_CACHE/models--owner--no-range/blobs/$blob" "$repo/blobs/$blob"
try "fetch in many pieces" build/examples/hub fetch owner/pieces --retries 1
try "fetch in many pieces" cmp "$HF_HUB_CACHE/models--owner--pieces/snapshots/$commit/model.safetensors" \
    "$site/hub/owner/pieces/model.safetensors"
try "fetch a data set" "$hostile" fetch datasets/owner/data@$commit
is "a weak ETag names a blob too" -e "$HF_HUB_CACHE/datasets--owner--data/blobs/$(printf 'blob 9\0{"a": 1}\n' | openssl dgst -sha1 -r | cut -d' ' -f1)"
is "data set" "$(cat "$HF_HUB_CACHE/datasets--owner--data/snapshots/$commit/config.json")" = '{"a": 1}'
is "a commit needs no ref" ! -e "$HF_HUB_CACHE/datasets--owner--data/refs"
# no space, then a download that is killed
repo_killed=$HF_HUB_CACHE/models--owner--killed
(failed=0 && trap '' XFSZ && ulimit -f 100 && refuses "$blob.incomplete: cannot write: File too large" fetch owner/killed && [ $failed = 0 ]) ||
    fail "fetch without space"
rm -f "$repo_killed"/blobs/*.incomplete
"$hostile" fetch owner/killed >"$out/got" 2>&1 &
killed=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ "$(find "$repo_killed/blobs" -name '*.incomplete' -size +80k | wc -l)" = 1 ] && break
    sleep 0.1
done
kill -9 $killed
wait $killed 2>/dev/null
is "no ref to a download that was killed" ! -e "$repo_killed/refs/main"
is "no blob of a download that was killed" ! -e "$repo_killed/blobs/$blob"
try "fetch after a download that was killed" "$hostile" fetch owner/killed
try "fetch after a download that was killed" cmp "$repo_killed/snapshots/$commit/model.safetensors" "$repo/blobs/$blob"
is "it went on" "$(grep -c "^1 GET /hub/owner/killed/model.safetensors bytes=[1-9]" "$site/requests")" = 1
HF_TOKEN=hubsecret try "fetch with a token" "$hostile" fetch owner/name@refs/pr/1
is "the hub's token stays at the hub" "$(grep -c "^1 .*hubsecret" "$site/requests")" = 0
refuses "do not have the hash" fetch evil/hash
refuses "do not have the hash" fetch evil/git
is "no ref to what is incomplete" ! -e "$HF_HUB_CACHE/models--evil--hash/refs/main"
is "a wrong blob is not kept" "$(find "$HF_HUB_CACHE/models--evil--hash/blobs" -type f -size +0 | wc -l)" = 0
refuses "the server lies" fetch evil/size
refuses "unsafe name: ../../escaped" fetch evil/path
refuses "unsafe name: /escaped" fetch evil/root
refuses 'unsafe name: a\u001bb' fetch evil/control
refuses "unsafe name: ./escaped" fetch evil/dot
refuses "unsafe name: aaaa" fetch evil/long
refuses "unsafe name: " fetch evil/backslash
refuses "no commit of 40" fetch evil/sha
refuses "not a JSON object: expected" fetch evil/json
refuses "not a JSON object" fetch evil/array
refuses "not a JSON object" fetch evil/null
refuses "the hub's answer is empty" fetch evil/empty
refuses "the hub sent the commit" fetch evil/commit config.json
refuses "none that can name a file" fetch evil/etag config.json
refuses "to another host without X-Linked-Etag" fetch evil/redirect
refuses "Repository not found" fetch owner/none
refuses "Invalid rev id: v9" fetch owner/name@v9
refuses "no such file: nothing.bin" fetch owner/new nothing.bin --include '*'
refuses "no such file" fetch owner/new --include '*.bin'
is "a missing file is noticed before others are downloaded" ! -e "$HF_HUB_CACHE/models--owner--new"
mkdir -p "$HF_HUB_CACHE/models--owner--new/blobs"
ln -s "$PWD/$out/escaped" "$HF_HUB_CACHE/models--owner--new/blobs/$blob.incomplete"
refuses ".incomplete: cannot write: " fetch owner/new model.safetensors
mkdir -p "$HF_HUB_CACHE/models--owner--new/refs/main"
rm "$HF_HUB_CACHE/models--owner--new/blobs/$blob.incomplete"
if "$hostile" fetch owner/new model.safetensors >"$out/got" 2>"$out/errors"; then fail "a directory as a ref"; else pass; fi
try "a directory as a ref" grep -q "^remote: .*refs/main: cannot write: Is a directory$" "$out/errors"
is "no temporary file stays" "$(find "$HF_HUB_CACHE" -name '*.tmp' | wc -l)" = 0
rmdir "$HF_HUB_CACHE/models--owner--new/refs/main"
is "CACHEDIR.TAG" "$(head -c 10 "$HF_HUB_CACHE/CACHEDIR.TAG")" = Signature:
try "a name twice" "$hostile" fetch owner/name config.json config.json
refuses "expected [TYPE/]OWNER/NAME" fetch ../../etc
refuses "expected [TYPE/]OWNER/NAME" fetch owner/name@../../x
is "nothing escaped" "$(find "$out" -name '*escaped*' | wc -l)" = 0

# ---- the same cache for others
try "build/st" ${MAKE:-make} build/st
try "st ls hub:" build/st ls hub:owner/name
for variable in HUGGINGFACE_HUB_CACHE=/cache HF_HOME= XDG_CACHE_HOME=/xdg HOME=/home; do
    where=${variable%%=*}=$PWD/$out${variable#*=}
    try "$variable: fetch" env -u HF_HUB_CACHE "$where" build/examples/hub fetch owner/name --include '*.safe*'
    try "$variable: st" env -u HF_HUB_CACHE "$where" build/st ls hub:owner/name
done
is "HF_HOME" -L "$out/hub/models--owner--name/snapshots/$commit/model.safetensors"
is "XDG_CACHE_HOME" -L "$out/xdg/huggingface/hub/models--owner--name/snapshots/$commit/model.safetensors"
is "HOME" -L "$out/home/.cache/huggingface/hub/models--owner--name/snapshots/$commit/model.safetensors"
HF_HUB_CACHE='~nobody/x' refuses "home directory" fetch owner/name
if $python -c 'import huggingface_hub' 2>/dev/null; then
    try "huggingface_hub" env HF_HUB_OFFLINE=1 $python - <<END
import huggingface_hub as h
p = h.hf_hub_download("owner/name", "1_Pooling/config.json")
assert open(p).read() == '{"b": 2}\n', p
assert h.snapshot_download("owner/name") == "$repo/snapshots/$commit"
info = h.scan_cache_dir()
assert not info.warnings, info.warnings
assert {r.repo_id for r in info.repos} >= {"owner/name", "owner/cut"}
END
    # what huggingface_hub itself makes of the same hub
    HF_HUB_CACHE=$PWD/$out/python HF_HUB_DISABLE_XET=1 try "download by huggingface_hub" $python - <<END
import huggingface_hub as h
for name in "model.safetensors", "config.json", "1_Pooling/config.json", "empty.txt":
    h.hf_hub_download("owner/name", name)
    h.hf_hub_download("owner/name", name, revision="refs/pr/1")
END
    links "$out/python/models--owner--name" >"$out/wanted"
    links "$repo" >"$out/got"
    try "the same files and links as huggingface_hub makes" diff "$out/wanted" "$out/got"
    is "files to compare" "$(wc -l <"$out/wanted")" -ge 9
else
    have "Python with huggingface_hub"
fi

# ---- usage
if "$remote" cat $N/m.safetensors big >/dev/full 2>"$out/said"; then fail "a full device: exit status 0"; else pass; fi
is "a full device: message" "$(cat "$out/said")" = "remote: cannot write to standard output"
if "$remote" --help | grep -q '^usage: remote ls URL'; then pass; else fail "--help"; fi
for words in "fetch --help" "show x --help"; do
    try "remote $words" "$remote" $words
    is "remote $words" "$(head -c 7 "$out/said")" = "usage: "
done
misuse "expected a command"
misuse "unknown command" list $N/m.safetensors
misuse "expected a URL and a tensor" show $N/m.safetensors
misuse "expected a URL" ls $N/m.safetensors w
misuse "too many arguments" show $N/m.safetensors w big
misuse "--all: unknown option" ls $N/m.safetensors --all
misuse "--all: unknown option" ls --all $N/m.safetensors
misuse "missing or invalid value" ls $N/m.safetensors --timeout
misuse "missing or invalid value" ls $N/m.safetensors --connections 9
misuse "expected a repository" fetch
misuse "--all: unknown option" fetch owner/name --all
misuse "expected ranges such as" show $N/m.safetensors w --slice 1,x
misuse "expected ranges such as" show $N/m.safetensors w --slice 99999999999999999999
misuse "expected an http or https URL" ls ftp://127.0.0.1/m.safetensors
misuse "expected an http or https URL" ls http://me@127.0.0.1/m.safetensors
misuse "expected an http or https URL" ls build/demo.safetensors
finish
