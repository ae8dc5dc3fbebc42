#!/bin/sh
# With NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE, as many threads as the container may use processors.
set -eu
[ -n "${NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE:-}" ] || exit 0
conf=/etc/nginx/nginx.conf
if [ ! -w "$conf" ]; then
    echo "$0: $conf cannot be written" >&2
    exit 0
fi
count=$(nproc)
# cgroup v2: time in a period, where it is limited.
if read -r quota period 2>/dev/null </sys/fs/cgroup/cpu.max && [ "$quota" != max ]; then
    allowed=$(((quota + period - 1) / period))
    [ "$allowed" -ge "$count" ] || count=$allowed
fi
[ "$count" -ge 1 ] || count=1
sed "s/^\(worker_processes\)[[:space:]].*;/\1  $count;/" "$conf" >"$conf.tuned"
cat "$conf.tuned" >"$conf"
rm "$conf.tuned"
