# The client's image: the binary, and time zones for TZ.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends tzdata \
 && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /image/bin /image/usr/share/zoneinfo \
 && zic -b slim -d /image/usr/share/zoneinfo /usr/share/zoneinfo/tzdata.zi
WORKDIR /src
COPY . .
# Statically linked for the platform that builds, whichever that is.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=websockets-target,target=/src/target,sharing=locked \
    target=$(rustc -vV | sed -n 's/^host: //p') \
 && RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --release --locked --package client --target "$target" \
 && cp "target/$target/release/client" /image/bin/client

FROM scratch
COPY --from=build /image /
USER 10001:10001
ENV SERVER_URL=ws://server:8765
ENTRYPOINT ["/bin/client"]
