# Two stages: a build with the toolchain and a C compiler (jemalloc), and a run-time image with the binary alone.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/kvstash

FROM debian:bookworm-slim
RUN useradd --system --uid 999 --user-group --home-dir /data --create-home kvstash
COPY --from=build /src/target/release/kvstash /usr/local/bin/kvstash
USER kvstash
WORKDIR /data
VOLUME /data
EXPOSE 6379
# In a container the port is reached from outside it, so protected mode would refuse every client: the network in front
# of the container decides who may connect. Set a password with `--requirepass`.
ENTRYPOINT ["kvstash", "--dir", "/data", "--bind", "* -::*", "--protected-mode", "no"]
