# rnginx as the official nginx image stands: its layout, its entrypoint, its logs on the container's own output.
#
#   docker build -t rnginx .                        one static binary and nothing else
#   docker build -t rnginx --target entrypoint .    on Debian, with templates and scripts in /docker-entrypoint.d
#   docker run -p 80:80 -v ./conf.d:/etc/nginx/conf.d:ro rnginx
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# A static program needs no C library of the image's; the layout is the official image's.
ENV RNGINX_LAYOUT=official RUSTFLAGS="-C target-feature=+crt-static"
# The target is named so that only the program is static, and not what helps to build it.
RUN cargo build --release --locked --bin rnginx --target "$(rustc -vV | sed -n 's/^host: //p')" \
    && tools/image/root /image target/*/release/rnginx

FROM debian:bookworm-slim AS entrypoint
RUN apt-get update && apt-get install -y --no-install-recommends gettext-base ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --no-create-home --uid 101 --shell /bin/false nginx
COPY --from=build /image/usr/ /usr/
COPY --from=build /image/var/ /var/
COPY --from=build /image/etc/nginx/ /etc/nginx/
COPY tools/image/entrypoint /docker-entrypoint.sh
COPY tools/image/entrypoint.d/ /docker-entrypoint.d/
ENTRYPOINT ["/docker-entrypoint.sh"]
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]

FROM scratch
COPY --from=build /image/ /
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["/usr/sbin/nginx", "-g", "daemon off;"]
