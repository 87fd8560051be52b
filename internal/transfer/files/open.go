// Package files reads samples from files of text: JSON lines, CSV, OpenMetrics and
// Prometheus' text format, InfluxDB's line protocol. Files may be compressed with gzip
// or zstd, which their first bytes tell. A file is a unit, and a position is a number
// of decompressed bytes. What cannot be parsed is counted, line by line.
package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxLine bounds a line.
const maxLine = 64 << 20

// lines reads a file line by line.
type lines struct {
	file    *os.File
	raw     *counter
	closeZ  func()
	in      *bufio.Reader
	at      int64 // behind the line that was read last
	long    []byte
	skipped int // lines that are too long
}

// counter counts the bytes that are read of the file itself.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func open(name string) (_ *lines, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	l := &lines{file: f, raw: &counter{r: f}, closeZ: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
		}
	}()
	raw := bufio.NewReaderSize(l.raw, 256<<10)
	head, err := raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var r io.Reader = raw
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if r, err = gzip.NewReader(raw); err != nil {
			return nil, err
		}
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, err
		}
		r, l.closeZ = z, z.Close
	}
	l.in = bufio.NewReaderSize(r, 1<<20)
	return l, nil
}

// skip moves to a position.
func (l *lines) skip(to int64) error {
	for l.at < to {
		n, err := l.in.Discard(int(min(to-l.at, 1<<30)))
		l.at += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// next returns the next line with its newline, valid until the next call. Lines that
// are too long are left out and counted. It returns io.EOF at the end.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.in.ReadSlice('\n')
		l.at += int64(len(line))
		if err == nil || errors.Is(err, io.EOF) && len(line) > 0 {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		l.long = append(l.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = l.in.ReadSlice('\n')
			l.at += int64(len(line))
			if len(l.long) <= maxLine {
				l.long = append(l.long, line...)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(l.long) <= maxLine {
			return l.long, nil
		}
		l.skipped++
	}
}

// done returns the bytes of the file that were read.
func (l *lines) done() int64 { return l.raw.n }

func (l *lines) close() error {
	l.closeZ()
	return l.file.Close()
}

// expand returns the files of paths: those in directories too, and the matches of
// patterns.
func expand(paths []string) ([]string, error) {
	var names []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			matches, bad := filepath.Glob(p)
			if bad != nil || len(matches) == 0 {
				return nil, err
			}
			names = append(names, matches...)
			continue
		}
		if !info.IsDir() {
			names = append(names, p)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				names = append(names, filepath.Join(p, e.Name()))
			}
		}
	}
	return names, nil
}
