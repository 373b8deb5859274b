// One upload by tus-js-client, as its argument (JSON) says. Prints the file's id as the server named it,
// and how often the upload was stopped and resumed. Its package is found by NODE_PATH.
const fs = require("fs");
const { PassThrough } = require("stream");
const tus = require("tus-js-client");

const wanted = JSON.parse(process.argv[2]);
const result = { file: null, stops: 0 };

function options(done) {
  return {
    endpoint: wanted.endpoint,
    headers: { Authorization: `Bearer ${wanted.key}` },
    metadata: { filename: "from-node.bin", filetype: "application/octet-stream" },
    retryDelays: [0, 100, 1000],
    storeFingerprintForResuming: false,
    ...wanted.options,
    onAfterResponse: (_, response) => {
      result.file = response.getHeader("Muniment-File") || result.file;
    },
    onError: (error) => done(error),
    onSuccess: () => done(null),
  };
}

function source() {
  const content = fs.createReadStream(wanted.path);
  // Of a file the client knows the size, and announces the last chunk longer than it is.
  return wanted.options.uploadLengthDeferred ? content.pipe(new PassThrough()) : content;
}

function finish(error) {
  if (error) {
    process.stderr.write(`${error}\n`);
    process.exit(1);
  }
  process.stdout.write(JSON.stringify(result));
}

const upload = new tus.Upload(source(), options(finish));
if (wanted.stopAfter) {
  upload.options.onChunkComplete = (_, accepted) => {
    if (accepted < wanted.stopAfter || result.stops) return;
    result.stops += 1;
    upload.abort().then(() => {
      if (wanted.terminate) {
        const authorized = { headers: options(finish).headers };
        tus.Upload.terminate(upload.url, authorized).then(() => finish(null), finish);
        return;
      }
      new tus.Upload(source(), { ...options(finish), uploadUrl: upload.url }).start();
    }, finish);
  };
}
upload.start();
