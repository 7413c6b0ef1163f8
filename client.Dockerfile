# The client's image: the binary, time zones for TZ, and the authorities that wss:// trusts.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /image/bin /image/etc/ssl/certs /image/usr/share/zoneinfo \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs \
# The slim form takes half as much, but chrono cannot read America/Ojinaga in it.
 && zic -b slim -d /image/usr/share/zoneinfo /usr/share/zoneinfo/tzdata.zi \
 && zic -b fat -d /tmp/zones /usr/share/zoneinfo/tzdata.zi \
 && cp --remove-destination /tmp/zones/America/Ojinaga /image/usr/share/zoneinfo/America/
WORKDIR /src
COPY . .
# Statically linked for the platform that builds, whichever that is, and small: a client waits for
# its server rather than for its processor, and after a panic it begins anew, without unwinding.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=websockets-target,target=/src/target,sharing=locked \
    target=$(rustc -vV | sed -n 's/^host: //p') \
 && RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs \
      -C link-arg=-Wl,-T,$PWD/crates/client/discard-unwind-tables.ld" \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=z CARGO_PROFILE_RELEASE_PANIC=abort \
    cargo build --release --locked --package client --target "$target" \
 && cp "target/$target/release/client" /image/bin/client

FROM scratch
LABEL org.opencontainers.image.title="WebSocket ping/pong client" \
      org.opencontainers.image.description="Pings a WebSocket server, reconnects, and prints statistics" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image /
USER 10002:10002
ENV SERVER_URL=ws://server:8765
ENTRYPOINT ["/bin/client"]
