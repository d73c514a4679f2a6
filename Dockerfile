# The server without engine embedded: replicas are containers of the Docker Engine that DOCKER_HOST names.
ARG BASE=node:20-bookworm-slim

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && node web/build.js

FROM ${BASE} AS modules
WORKDIR /app
COPY package.json package-lock.json ./
# Its optional packages are engine embedded and what nothing needs.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${BASE}
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000 GATEWAY_PORT=5433 REPLICA_ENGINE=docker
WORKDIR /app
COPY package.json ./
COPY --from=modules /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/web/dist web/dist
# What dist reads of it: pages, migrations, a worker.
COPY src src
USER 1000:1000
EXPOSE 4000 5433
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
