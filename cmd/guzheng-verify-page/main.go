//go:build !js

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"

	"guzheng/report/words"
)

//go:embed page
var parts embed.FS

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "guzheng-verify-page: %v\n", err)
		os.Exit(1)
	}
}

// run is main without the process around it.
func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("guzheng-verify-page", flag.ContinueOnError)
	flags.SetOutput(stderr)
	wasm := flags.String("wasm", "", "this folder, compiled with GOOS=js GOARCH=wasm")
	glue := flags.String("glue", "", "lib/wasm/wasm_exec.js of the Go that compiled it")
	out := flags.String("out", "", "HTML file to write")
	version := flags.String("version", "dev", "version to show")
	if err := flags.Parse(args); err != nil {
		return err
	}
	core, err := os.ReadFile(*wasm)
	if err != nil {
		return fmt.Errorf("reading core: %w", err)
	}
	bridge, err := os.ReadFile(*glue)
	if err != nil {
		return fmt.Errorf("reading glue: %w", err)
	}
	page, err := assemble(core, bridge, *version)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*out, page, 0o644); err != nil {
		return fmt.Errorf("writing page: %w", err)
	}
	return nil
}

// assemble makes the page. The same parts give the same bytes.
func assemble(core, glue []byte, version string) ([]byte, error) {
	var text [4]string
	for i, name := range []string{"page.html", "page.css", "page.js", "worker.js"} {
		b, err := parts.ReadFile("page/" + name)
		if err != nil {
			return nil, err
		}
		text[i] = string(b)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(core); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	said, err := catalogues()
	if err != nil {
		return nil, err
	}
	worker := string(glue) + "\n" + text[3]
	for _, s := range []string{text[1], text[2], worker} {
		// An end tag inside would end the element.
		if strings.Contains(strings.ToLower(s), "</s") {
			return nil, errors.New("assembling page: an end tag stands in a script")
		}
	}
	t, err := template.New("page").Parse(text[0])
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{"Style": text[1], "StyleHash": hash(text[1]), "Script": text[2], "ScriptHash": hash(text[2]),
		"Worker": worker, "Words": said, "Core": base64.StdEncoding.EncodeToString(packed.Bytes()), "Version": template.HTMLEscapeString(version)})
	return b.Bytes(), err
}

// hash names a script or style in a policy (CSP level 3 section 2.3.1).
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// catalogues are the words that the page needs, by language, as JSON without
// characters that mean something to HTML.
func catalogues() (string, error) {
	all := map[string]map[string]string{}
	for _, lang := range words.Languages() {
		c, err := words.New(lang)
		if err != nil {
			return "", err
		}
		all[lang] = c.Texts("check.", "checkcode.", "outcome.", "page.")
	}
	b, err := json.Marshal(all)
	return string(b), err
}
