// Command guzheng-verify-page makes the page that verifies offline: one HTML
// file with the checking core of guzheng-verify in it, for any browser of
// 2023 or later. It is run by make verifier-html.
//
// Life of a page: the same folder is compiled to WebAssembly (files *_js.go);
// this program puts that, Go's own glue (wasm_exec.js), the page's script and
// style and the words of report/words into one file. Opened from disk, the
// page starts a worker that reads the package slice by slice and hands the
// verdict back.
//
// Trust: the package and the seal are trusted for nothing; what they say is
// shown as text only. The page's policy (CSP) names the scripts by their
// digest and forbids every connection, so that nothing leaves the machine
// even if something in it were wrong. Whoever hands over the page could hand
// over another one: compare its digest, or use the program guzheng-verify.
package main
