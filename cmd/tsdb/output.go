package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
)

// output is a file that appears under its name once it is complete.
type output struct {
	io.Writer
	file  *os.File  // nil for the standard output
	close io.Closer // of the compression; nil if there is none
	name  string
}

// createOutput begins a file, or writes to stdout if the name is "-".
func createOutput(name string, stdout io.Writer) (*output, error) {
	if name == "-" {
		return &output{Writer: stdout}, nil
	}
	f, err := os.Create(name + ".tmp")
	if err != nil {
		return nil, err
	}
	o := &output{Writer: f, file: f, name: name}
	switch {
	case strings.HasSuffix(name, ".gz"):
		z := gzip.NewWriter(f)
		o.Writer, o.close = z, z
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewWriter(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		o.Writer, o.close = z, z
	}
	return o, nil
}

// finish completes the file, or removes it.
func (o *output) finish(complete bool) error {
	if o.file == nil {
		return nil
	}
	var err error
	if o.close != nil {
		err = o.close.Close()
	}
	err = errors.Join(err, o.file.Sync(), o.file.Close())
	if complete && err == nil {
		return os.Rename(o.file.Name(), o.name)
	}
	return errors.Join(err, os.Remove(o.file.Name()))
}

// maxExportLine bounds a line of the answer of a server.
const maxExportLine = 256 << 20

// fromServer reads /api/v1/export of a running server.
func (c *exportConfig) fromServer(ctx context.Context, put func(labels.Labels, *model.Samples) error) error {
	u, err := url.Parse(c.from)
	if err != nil || u.Host == "" {
		return usageError{fmt.Errorf("%q is no address of a server, such as http://localhost:9201", c.from)}
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/export"
	form := url.Values{"match[]": c.match}
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
	if c.start != "" {
		form.Set("start", seconds(c.min))
	}
	if c.end != "" {
		form.Set("end", seconds(c.max))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // as far as it can be read
		return fmt.Errorf("%s answers %s: %s", u.Redacted(), response.Status, strings.TrimSpace(string(text)))
	}
	in := bufio.NewScanner(response.Body)
	in.Buffer(make([]byte, 1<<20), maxExportLine)
	var line jsonl.Line
	var builder labels.ScratchBuilder
	var samples model.Samples
	for in.Scan() {
		builder.Reset()
		samples.Reset()
		if err := line.Split(in.Bytes()); err != nil {
			return err
		}
		if err := line.Labels(builder.Add); err != nil {
			return err
		}
		if err := line.Samples(&samples); err != nil {
			return err
		}
		builder.Sort()
		if err := put(builder.Labels(), &samples); err != nil {
			return err
		}
	}
	return in.Err()
}
