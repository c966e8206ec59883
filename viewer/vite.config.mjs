// One script that is no module and one stylesheet, so that the page also opens from a disk. Names without hashes:
// the committed page is compared byte by byte with what these sources build.
import notices from "./notices.mjs";

export default {
  plugins: [notices],
  publicDir: "public",
  build: {
    outDir: "../src/cratelm/viewer/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: "src/main.tsx",
      output: { format: "iife", entryFileNames: "app.js", assetFileNames: "app.[ext]" },
    },
  },
};
