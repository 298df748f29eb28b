#!/bin/sh
# remote.sh: compares `remote load` with curl, which throws away the same file of 1 GiB from nginx on loopback. Prints the
# best of 7 runs each, in turn.
check=bench-remote
. tests/tools/lib.sh
PATH=$PATH:/usr/sbin
have curl nginx python3 && try "make" ${MAKE:-make} build/examples/remote || finish
python3 - "$out" <<'END'
import json, os, struct, sys
part = os.urandom(64 << 20)
header = {"layer.%d" % i: {"dtype": "U8", "shape": [len(part)], "data_offsets": [i << 26, (i + 1) << 26]} for i in range(16)}
text = json.dumps(header).encode()
with open(sys.argv[1] + "/model.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    for i in range(16):
        f.write(part)
END
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$out/nginx.conf" <<END
$([ "$(id -u)" != 0 ] || echo 'user root;')
worker_processes 1; daemon off; pid $PWD/$out/nginx.pid; error_log $PWD/$out/nginx.log;
events {}
http {
    access_log off; sendfile on;
    client_body_temp_path $PWD/$out/t1; proxy_temp_path $PWD/$out/t2; fastcgi_temp_path $PWD/$out/t3;
    uwsgi_temp_path $PWD/$out/t4; scgi_temp_path $PWD/$out/t5;
    server { listen 127.0.0.1:$port; root $PWD/$out; }
}
END
nginx -e "$PWD/$out/nginx.log" -c "$PWD/$out/nginx.conf" &
nginx=$!
trap 'kill $nginx; rm -f "$out/model.safetensors" "$out/copy"' EXIT
sleep 1
url=http://127.0.0.1:$port/model.safetensors
for k in 1 2 3 4 5 6 7; do
    curl -s --noproxy '*' -o /dev/null -w '%{speed_download}\n' $url >>"$out/curl.$$"
    rm -f "$out/copy"
    curl -s --noproxy '*' -o "$out/copy" -w '%{speed_download}\n' $url >>"$out/file.$$"
    build/examples/remote load $url >"$out/said" && sed 's/.* s, \([0-9]*\) MB.*/\1000000/' "$out/said" >>"$out/remote.$$"
done
best() { sort -n "$1" | tail -n 1; }
awk -v curl="$(best "$out/curl.$$")" -v file="$(best "$out/file.$$")" -v remote="$(best "$out/remote.$$")" 'BEGIN {
    printf "curl -o /dev/null: %.0f MB/s\ncurl -o FILE: %.0f MB/s\nremote load: %.0f MB/s, %.2f and %.2f of curl\n",
        curl / 1e6, file / 1e6, remote / 1e6, remote / curl, remote / file
}'
[ -s "$out/remote.$$" ] && pass || fail "remote load"
rm -f "$out"/*.$$
finish
