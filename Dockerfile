# The server with the demo it serves; documents are kept in /data.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY client/package.json client/
COPY client/demo/package.json client/demo/
COPY server/package.json server/
COPY e2e/package.json e2e/
COPY docs/package.json docs/
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.base.json ./
COPY scripts scripts
COPY client client
COPY server server
RUN npm run build
RUN npm ci --omit=dev --workspace=@cowrite/server --no-audit --no-fund

FROM node:24-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/client/package.json client/
COPY --from=build /app/client/dist client/dist
COPY --from=build /app/client/demo/dist client/demo/dist
COPY --from=build /app/server/package.json server/
COPY --from=build /app/server/bin server/bin
COPY --from=build /app/server/dist server/dist
RUN mkdir -m 0700 /data && chown node:node /data
USER node
VOLUME /data
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    STORAGE_URL=lmdb:/data \
    STATIC_DIR=/app/client/demo/dist
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "server/dist/cli.js"]
