#!/bin/sh
# Writes conf.d/NAME from templates/NAME.template, with ${VARIABLES} of the environment in their places; what looks like
# one and is none, as nginx's own, stays. NGINX_ENVSUBST_FILTER is a pattern that names must match.
set -eu
from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}

[ -d "$from" ] || exit 0
if [ ! -w "$to" ]; then
    echo "$0: $from is there, but $to cannot be written" >&2
    exit 0
fi
names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | grep -E -- "${NGINX_ENVSUBST_FILTER:-}" | sed 's/.*/${&}/' | tr '\n' ' ')
find "$from" -follow -type f -name "*$suffix" | while read -r template; do
    name=${template#"$from"/}
    file=$to/${name%"$suffix"}
    mkdir -p "${file%/*}"
    echo "$0: writing $file from $template"
    envsubst "$names" <"$template" >"$file"
done
