# The server's image: the binary, bash with the usual small commands for `docker exec`, completions,
# and time zones for TZ.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends bash-static busybox-static tzdata \
 && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /image/bin /image/etc /image/usr/share/zoneinfo /image/usr/share/bash-completion \
      /app /tls \
 && cp /bin/bash-static /image/bin/bash \
 && cp /bin/busybox /image/bin/busybox \
 && for command in $(busybox --list); do ln -s busybox "/image/bin/$command"; done \
 && echo 'app:x:10001:10001::/app:/bin/bash' > /image/etc/passwd \
 && echo 'app:x:10001:' > /image/etc/group \
# Interactive shells of `docker exec`: their history does not belong among the logs.
 && printf '%s\n' 'unset HISTFILE' '. /usr/share/bash-completion/server' > /image/etc/bash.bashrc \
 && zic -b slim -d /image/usr/share/zoneinfo /usr/share/zoneinfo/tzdata.zi \
 && zic -b fat -d /fat /usr/share/zoneinfo/tzdata.zi
WORKDIR /src
COPY . .
# Statically linked for the platform that builds, whichever that is, with its relocations packed
# (DT_RELR), which saves 0.1 MB.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=websockets-target,target=/src/target,sharing=locked \
    target=$(rustc -vV | sed -n 's/^host: //p') \
 && RUSTFLAGS='-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs' \
    cargo build --release --locked --package server --target "$target" \
 && cp "target/$target/release/server" /image/bin/server \
 && /image/bin/server completions bash > /image/usr/share/bash-completion/server

# Time zones are there in the slim form, which takes 0.3 MB in place of 0.6; those that the server
# cannot read in that form (America/Ojinaga) in the fat one.
RUN cd /image/usr/share/zoneinfo \
 && find . -type f | while read -r zone; do \
      TZ="$PWD/$zone" /image/bin/server completions bash > /dev/null 2>&1 || cp "/fat/$zone" "$zone"; \
    done

FROM scratch
LABEL org.opencontainers.image.title="WebSocket ping/pong server" \
      org.opencontainers.image.description="Records each ping in a log file before it answers" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /app /app
COPY --from=build --chown=10001:10001 /tls /tls
USER 10001:10001
WORKDIR /app
VOLUME /app
EXPOSE 8765 10443
HEALTHCHECK --interval=2s --timeout=3s CMD ["/bin/server", "healthcheck"]
ENTRYPOINT ["/bin/server"]
